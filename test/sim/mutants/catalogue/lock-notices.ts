import { mutantsOf, type Cut } from '../mutant.ts'

const RECORDS = 'crdt/lock-notices.ts'
const NOTICES = 'node/services/locks/lock-notices.ts'

/** Guards of what is told of claims that have ended. */
export const lockNoticeMutants: readonly Cut[] = [
  ...mutantsOf({ file: RECORDS, rule: 'D9', scenario: 'notices-kept' }, [
    {
      name: 'notices-without-end',
      from: "(state) => state !== 'open').length - NOTICES_KEPT_MAX",
      to: "(state) => state !== 'open').length - 1e6 * NOTICES_KEPT_MAX",
      why: 'a project grows with every claim that ever gave way',
    },
    {
      name: 'notice-beside-its-claim',
      expects: ['D9', 'P5'],
      from: '  dropNotice(doc, author, record.claim)\n',
      to: '',
      why: 'after a restart the end of a claim is told again',
    },
    {
      name: 'open-claims-make-room',
      rule: 'P5',
      from: "if (states[i] === 'open') at++",
      to: 'if (states[i] === undefined) at++',
      why: 'a crash loses the news of a claim that was open',
    },
    {
      name: 'open-claims-are-notices',
      rule: 'P5',
      from: "  if (record.state === 'open') return undefined\n  const { claim, paths, instance, at, ended, state } = record",
      to: '  const { claim, paths, instance, at, ended = at, state } = record as typeof record & { ended: string }',
      why: 'whoever holds a provisional lock is told that it has lost it',
    },
    {
      name: 'notices-of-any-number',
      from: '.slice(-READ_MAX)',
      to: '.slice()',
      why: 'one member has all others read as much as it likes, with every look',
    },
  ]),
  ...mutantsOf({ file: NOTICES, rule: 'P5', scenario: 'notices-told' }, [
    {
      name: 'own-claims-end-with-their-memory',
      from: '    if (this.#seen.has(doc)) return\n',
      to: '',
      why: 'a claim that is held is told to have ended when its project is loaded again',
    },
    {
      name: 'certified-and-told-to-be-lost',
      from: 'this.#certified.has(open.claim)',
      to: "this.#certified.has('')",
      why: 'after a restart a holder is told that it has lost what goes on',
    },
    {
      name: 'what-is-there-is-news',
      from: '    this.#told.set(doc, idsOf(readNotices(state, projectId)))\n',
      to: '    this.#told.set(doc, new Set())\n',
      why: 'after every start all notices are told once more',
    },
    {
      name: 'told-with-every-look',
      from: '    this.#told.set(doc, idsOf(notices))\n',
      to: '',
      why: 'a notice is told with every change of its project',
    },
    {
      name: 'rebuilt-in-silence',
      from: '    if (this.#told.has(doc)) return this.#look(doc, state)\n',
      to: '',
      why: 'a notice that comes while its document is rebuilt is never told',
    },
    {
      name: 'told-without-a-conflict',
      from: ' && notice.conflict)',
      to: ')',
      why: 'a node that was restarted is told as a conflict',
    },
    {
      name: 'tells-after-the-end',
      from: 'this.#isStopped ? [] : notices',
      to: 'notices',
      why: 'a node that has stopped goes on telling',
    },
    {
      name: 'ends-claims-after-the-end',
      from: '      if (this.#isStopped) return\n      const closed',
      to: '      const closed',
      why: 'a node that has stopped writes',
    },
    {
      name: 'claims-of-unused-projects-stay',
      from: 'if (open > 0 && !this.#seen.has(doc)) toLoad.push(doc)',
      to: 'void open',
      why: 'whoever worked in a project that nobody has opened since is never told',
    },
    {
      name: 'all-projects-are-loaded',
      rule: 'D6',
      from: 'if (open > 0 && !this',
      to: 'if (!this',
      why: 'a node with thousands of projects loads all of them at its start',
    },
  ]),
]
