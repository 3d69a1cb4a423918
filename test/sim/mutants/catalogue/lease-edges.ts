import { mutantsOf, type Cut } from '../mutant.ts'

const PROTOCOL = 'protocols/lease'
const SERVICES = 'node/services/leases'
const PATTERNS = `${PROTOCOL}/path-patterns.ts`
const STATE = `${PROTOCOL}/voter-state.ts`
const ATTEMPTS = `${SERVICES}/lease-attempts.ts`

/** Guards at the edges of the lease protocol: orders, bounds, and what comes early or late. */
export const leaseEdgeMutants: readonly Cut[] = [
  ...mutantsOf({ file: `${PROTOCOL}/ballot.ts`, rule: 'I7', scenario: 'ballots' }, [
    {
      name: 'ballots-of-one-number-alike',
      from: 'a.n < b.n || (a.n === b.n && a.id < b.id)',
      to: 'a.n < b.n',
      why: 'two proposers with one number each have a voter accept: two sets succeed one',
    },
  ]),
  ...mutantsOf({ file: `${PROTOCOL}/ballot.ts`, rule: 'L2.7', scenario: 'chain' }, [
    {
      name: 'ballots-told-by-number',
      from: 'a.n === b.n && a.id === b.id',
      to: 'a.n === b.n',
      why: 'seals for two proposers of one number are taken for one decision',
      expects: ['L2.7', 'I7'],
    },
  ]),
  ...mutantsOf({ file: `${PROTOCOL}/frame.ts`, rule: 'L2.4.1', scenario: 'later-words' }, [
    {
      name: 'later-words-end-the-channel',
      rule: 'M18',
      from: 'z.union([Known, Later])',
      to: 'Known',
      why: 'nodes of two releases cannot share leases',
    },
    {
      name: 'nonsense-is-passed-over',
      from: '  .refine(({ t }) => !names.has(t))\n',
      to: '',
      why: 'a member sends nonsense for ever and nobody notices',
    },
  ]),
  ...mutantsOf({ file: PATTERNS, rule: 'L2.9', scenario: 'later-words' }, [
    {
      name: 'pattern-that-climbs',
      from: "  if (CLIMBS.test(pattern)) return err('The pattern leaves its folder (..).')\n",
      to: '',
      why: 'a pattern matches more than is locked',
    },
    {
      name: 'other-wildcards-taken-literally',
      from: 'const WILDCARD = /[*?[{(!]/',
      to: 'const WILDCARD = /[*]/',
      why: 'two patterns that match one path are locked by two holders',
    },
  ]),
  ...mutantsOf({ file: `${PROTOCOL}/resources.ts`, rule: 'L2.4.1', scenario: 'later-words' }, [
    {
      name: 'key-of-any-depth',
      from: '  if (segments.length > PATH_SEGMENTS_MAX + 1) return false\n',
      to: '',
      why: 'every level of a key costs a voter an entry: a member fills its memory',
    },
  ]),
  ...mutantsOf({ file: `${PROTOCOL}/signing.ts`, rule: 'L2.4', scenario: 'checked-roots' }, [
    {
      name: 'roots-checked-again',
      from: '    this.#remember({ by, root, sig })\n    return true',
      to: '    return true',
      why: 'each statement of a batch costs a check of its signature',
    },
    {
      name: 'roots-kept-for-ever',
      from: 'if (this.#checked.size <= CHECKED_ROOTS_MAX) return',
      to: 'if (this.#checked.size > -CHECKED_ROOTS_MAX) return',
      why: 'the memory of a node grows with every signature it reads',
    },
  ]),
  ...mutantsOf({ file: STATE, rule: 'I6', scenario: 'ends-in-any-order' }, [
    {
      name: 'first-end-not-noted',
      from: '    this.vseq = Math.max(this.vseq, live.vseq)\n    this.#earliestMs = Math.min(this.#earliestMs, live.deadlineMs)\n',
      to: '    this.vseq = Math.max(this.vseq, live.vseq)\n',
      why: 'a holder that is gone blocks its resources for ever',
    },
    {
      name: 'next-end-not-noted',
      from: 'else this.#earliestMs = Math.min(this.#earliestMs, deadlineMs)',
      to: 'else void deadlineMs',
      why: 'once a promise has ended, those that run are never found to end',
    },
  ]),
  ...mutantsOf({ file: `${PROTOCOL}/voter.ts`, rule: 'L2.4', scenario: 'newest-writes' }, [
    {
      name: 'oldest-writes-first',
      from: '(isAtMost(a.token, b.token) ? 1 : -1)',
      to: '(isAtMost(a.token, b.token) ? -1 : 1)',
      why: 'a holder waits for what arrived long ago, and acts before the latest write is there',
    },
  ]),
  ...mutantsOf({ file: ATTEMPTS, rule: 'L2.5', scenario: 'early-words' }, [
    {
      name: 'early-hint-lost',
      from: '      if (hint?.isFree) wake()\n',
      to: '',
      why: 'a hint that comes while its attempt ends is lost: whoever waits does so for seconds',
    },
  ]),
  ...mutantsOf({ file: `${SERVICES}/lease-acquire.ts`, rule: 'L2.4', scenario: 'early-words' }, [
    {
      name: 'limit-asked-again',
      from: "{ next: 'never', refusal: { why: 'limit' } }",
      to: "{ next: 'at_once', refusal: { why: 'limit' } }",
      why: 'a node at its limit asks all voters on and on',
    },
  ]),
  ...mutantsOf({ file: ATTEMPTS, rule: 'L2.11', scenario: 'closing-node' }, [
    {
      name: 'resuming-survives-closing',
      from: "      closing.addEventListener('abort', giveUp)\n",
      to: '',
      why: 'a node without its voters never ends',
    },
    {
      name: 'attempt-survives-closing',
      rule: 'L2.5',
      from: "      closing.addEventListener('abort', refuse)\n",
      to: '',
      why: 'whoever asked a node that closes gets no answer',
    },
  ]),
  ...mutantsOf({ file: `${SERVICES}/lease-voter-loop.ts`, rule: 'L2.4', scenario: 'busy-voter' }, [
    {
      name: 'batch-without-end',
      from: 'this.#inbox.splice(0, BATCH_MAX)',
      to: 'this.#inbox.splice(0)',
      why: 'the first of a thousand requests waits until all have been decided',
    },
    {
      name: 'compacted-with-every-promise',
      from: 'Math.max(COMPACT_AFTER_RECORDS, 2 * snapshot.length)',
      to: 'COMPACT_AFTER_RECORDS',
      why: 'a voter of thousands of leases writes its journal anew with every batch',
    },
  ]),
  ...mutantsOf({ file: `${SERVICES}/voter-change.ts`, rule: 'L2.7', scenario: 'called-off' }, [
    {
      name: 'called-off-and-forced',
      from: "    if (stop.aborted) return err(domainError('cancelled'))\n    if (!voters.ok)",
      to: '    if (!voters.ok)',
      why: 'whoever thinks better of it in time has installed voters by force all the same',
    },
    {
      name: 'called-off-and-offline',
      from: "    if (stop.aborted) return err(domainError('cancelled'))\n    if (!voters.ok) return voters\n",
      to: "    if (!voters.ok) return voters\n    if (stop.aborted) return err(domainError('cancelled'))\n",
      why: 'whoever calls a change off is told that a machine cannot be reached',
    },
  ]),
]
