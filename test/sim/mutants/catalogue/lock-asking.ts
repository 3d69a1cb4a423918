import { mutantsOf, type Cut } from '../mutant.ts'

const LOCKS = 'node/services/locks'
const CERTIFYING = `${LOCKS}/lock-certifying.ts`
const TAKING = `${LOCKS}/lock-taking.ts`

/** Guards of what is asked of the voters: again for claims, and for many paths at once. */
export const lockAskingMutants: readonly Cut[] = [
  ...mutantsOf({ file: CERTIFYING, rule: 'L2.8', scenario: 'asking-again' }, [
    {
      name: 'timers-without-number',
      from: ' || this.#cancel) return',
      to: ') return',
      why: 'every claim brings a loop of its own',
    },
    {
      name: 'asks-while-it-is-asking',
      from: 'this.#isAsking || ',
      to: '',
      why: 'two rounds ask for one claim',
    },
    {
      name: 'hurries-while-it-is-asking',
      from: '!this.#isAsking && ',
      to: '',
      why: 'two rounds ask for one claim',
    },
    {
      name: 'hurries-once',
      from: '    this.#failures = 0\n    if (!this',
      to: '    if (!this',
      why: 'a voter that was heard again is asked as seldom as before',
    },
    {
      name: 'asks-no-more',
      from: '        if (this.#deps.claims.waiting().length > 0) this.wake()\n        else this.#failures = 0\n',
      to: '        this.#failures = 0\n',
      why: 'what found no quorum at first stays provisional',
    },
    {
      name: 'failures-outlive-their-claims',
      from: '        else this.#failures = 0\n',
      to: '',
      why: 'the first lock after a long cut waits a minute for its certificate',
    },
    {
      name: 'failures-do-not-count',
      from: 'else this.#failures++',
      to: 'else this.#failures += 0',
      why: 'a cut of a day is a day of questions',
    },
    {
      name: 'asks-ever-more-seldom',
      from: 'Math.min(PAUSE_MIN_MS * 2 ** this.#failures, PAUSE_MAX_MS)',
      to: 'PAUSE_MIN_MS * 2 ** this.#failures',
      why: 'after a long cut nobody asks for hours',
    },
    {
      name: 'asks-for-all-in-vain',
      from: "      if (lease.error.why === 'no_quorum') return\n",
      to: '',
      why: 'a round lasts 3 s for every claim there is',
    },
    {
      name: 'asks-for-what-has-ended',
      rule: 'P3',
      from: "      if (claim.state !== 'held') continue\n",
      to: '',
      why: 'a claim that has lost is asked for',
    },
    {
      name: 'gives-way-to-many',
      rule: 'P3',
      from: 'before?.leaseId !== leaseId',
      to: '!before',
      why: 'a claim gives way to rivals none of which was ever renewed',
    },
    {
      name: 'gives-way-to-who-asks',
      rule: 'P3',
      from: '> (this.#deps.ttlMs ?? DEFAULT_TIMINGS.ttlMs)',
      to: '> 0',
      why: 'two claims that ask at the same time both give way',
    },
    {
      name: 'starts-after-the-end',
      from: '    if (this.#isStopped) return\n    this.#isAsking',
      to: '    this.#isAsking',
      why: 'a node that has stopped asks',
    },
    {
      name: 'wakes-after-the-end',
      from: 'this.#isStopped || ',
      to: '',
      why: 'a node that has stopped wakes up for ever',
    },
  ]),
  ...mutantsOf({ file: TAKING, rule: 'L2.8', scenario: 'lock-taking' }, [
    {
      name: 'mine-by-token',
      rule: 'I1',
      from: 'record.instance === wanted.instance && ',
      to: '',
      why: 'an instance has what another of its token holds',
    },
    {
      name: 'mine-though-lapsed',
      rule: 'L2.5',
      from: 'return isCallers && isHeld ?',
      to: 'return isCallers || (isCallers && isHeld) ?',
      why: 'a lock is told to be held whose lease has lapsed',
    },
    {
      name: 'unspelled-left-out',
      from: '  if (unspelled) return fail(unspelled.error)\n',
      to: '',
      why: 'some of what was wanted together',
    },
    {
      name: 'last-spelling-shown',
      rule: 'L2.9',
      from: "else if (!targets.get(target.value.key)?.path.endsWith('/')) targets",
      to: 'else targets',
      why: 'a directory is shown as a file',
    },
    {
      name: 'rest-stays-locked',
      from: '  for (const leaseId of leasesNow(deps, taken.value)) await dropLease(deps, leaseId)\n',
      to: '',
      why: 'what was refused in the end stays locked',
    },
    {
      name: 'rest-is-given',
      from: '  if (!lost) return {',
      to: '  if (lost !== null) return {',
      why: 'some of what was wanted together',
    },
    {
      name: 'taken-before-it-is-known',
      rule: 'L2.11',
      from: '  await deps.resuming.known()\n',
      to: '',
      why: 'whoever asks in the first moments gets its lock once more',
    },
  ]),
]
