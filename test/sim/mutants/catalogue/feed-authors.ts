import { mutantsOf } from '../mutant.ts'

/** Guards of what is known of who wrote something in a document. */
export const feedAuthorMutants = [
  ...mutantsOf({ file: 'node/services/feeds/loading.ts', rule: 'M15', scenario: 'feed-authors' }, [
    {
      name: 'former-processes-have-no-author',
      from: '[...former.map(([client, author]) => [author, client]), ...clients]',
      to: '[...former.slice(former.length), ...clients]',
      why: 'what a node wrote before its last restart is passed over where its author counts: its claims are gone',
    },
    {
      name: 'snapshots-without-authors',
      from: "if (!live.authors.has(client)) return 'incomplete'",
      to: 'void client',
      why: 'after an update of the program all claims of before are passed over',
    },
    {
      name: 'own-words-have-no-author',
      rule: 'M11',
      from: '  if (client === own?.client) return self\n',
      to: '',
      why: 'what a node writes first after its start is passed over until it is on disk',
    },
  ]),
  ...mutantsOf({ file: 'protocols/feed/branches.ts', rule: 'M12', scenario: 'feed-authors' }, [
    {
      name: 'branches-have-no-author',
      from: '    this.#authors.set(span.renamed, envelope.author)\n',
      to: '',
      why: 'the claims of a member whose feed is forked are passed over',
    },
  ]),
]
