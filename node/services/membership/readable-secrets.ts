import type { Member, Membership } from '../../../protocols/membership/membership.ts'

export type ReadableSecret = {
  readonly what: string
  /** What makes it worthless to whoever has read it. */
  readonly remedy: string
}

/** What a member can have read and kept: no removal takes that back. From the most to the least severe. */
export function readableSecrets(
  { recoveryKeys }: Membership,
  { peer, capabilities }: Member,
): readonly ReadableSecret[] {
  const secrets: ReadableSecret[] = []
  if (recoveryKeys.some(({ by }) => by === peer))
    secrets.push({
      what: 'the recovery words: it made them',
      remedy: 'make others with `rookery recovery create`; the old ones can then no longer be used',
    })
  if (capabilities.has('gateway'))
    secrets.push({
      what: 'the accounts: names, e-mail addresses, hashes of passwords and of API tokens',
      remedy:
        'their key is replaced now; tokens that it issued are dead; let people change passwords that are short or used elsewhere',
    })
  secrets.push({
    what: 'everything in its projects: descriptions, tasks, summaries, names of locked files',
    remedy: 'replace passwords and keys that were written there',
  })
  if (capabilities.has('control'))
    secrets.push({
      what: 'what was shown in terminals that it watched',
      remedy: 'replace passwords and keys that were shown or typed there',
    })
  return secrets
}
