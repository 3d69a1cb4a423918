import { mutantsOf, type Cut } from '../mutant.ts'

const LOCKS = 'node/services/locks'
const RANK = 'crdt/lock-rank.ts'
const PROVISIONAL = `${LOCKS}/lock-provisional.ts`

/** Guards of provisional locks, as one node decides about its own. */
export const lockClaimMutants: readonly Cut[] = [
  ...mutantsOf({ file: RANK, rule: 'P2', scenario: 'lock-order' }, [
    {
      name: 'certified-no-better',
      from: 'if (a.token !== null || b.token !== null) return a.token !== null',
      to: 'if (a.token === null || b.token === null) return a.lease < b.lease',
      why: 'what a quorum granted gives way to what nobody granted',
    },
    {
      name: 'provisional-before-certified',
      from: 'b.token !== null) return a.token !== null',
      to: 'b.token !== null) return a.token === null',
      why: 'what a quorum granted gives way to what nobody granted',
    },
    {
      name: 'lower-token-better',
      from: 'a.token > b.token',
      to: 'a.token < b.token',
      why: 'a later holder is shown behind an earlier one',
    },
    {
      name: 'equal-tokens-both-better',
      from: 'a.token === b.token ? a.lease < b.lease : a.token > b.token',
      to: 'a.token >= b.token',
      why: 'forged records with one token are shown otherwise on every node',
    },
    {
      name: 'later-claim-better',
      from: 'order === 0 ? a.lease < b.lease : order < 0',
      to: 'order === 0 ? a.lease < b.lease : order > 0',
      why: 'a newcomer takes what another has worked on',
    },
    {
      name: 'claims-of-one-moment-both-better',
      from: 'order === 0 ? a.lease < b.lease : order < 0',
      to: 'order <= 0',
      why: 'two claims of one moment give way to each other',
    },
  ]),
  ...mutantsOf({ file: `${LOCKS}/lock-rivals.ts`, rule: 'P3', scenario: 'lock-order' }, [
    {
      name: 'gives-way-to-any',
      from: '    .filter(({ record }) => outranks(record, mine))\n',
      to: '',
      why: 'a claim gives way to any other, better or not',
    },
  ]),
  ...mutantsOf({ file: PROVISIONAL, rule: 'P1', scenario: 'claim-settles' }, [
    {
      name: 'claimed-over-a-known-lock',
      from: '    if (rival) return err(heldError(rival))\n',
      to: '',
      why: 'a lock is announced that all who hear of it refuse',
    },
    {
      name: 'no-settle-time',
      from: '    await pause(this.#deps.clock, claim.settledAtMs - this.#deps.clock.monoMs())\n',
      to: '',
      why: 'two that hear each other both begin to work',
    },
    {
      name: 'settling-counts-as-waiting',
      from: ".filter(({ state }) => state === 'held')",
      to: '',
      why: 'voters are asked for what may not count yet',
    },
    {
      name: 'clock-of-this-node-alone',
      rule: 'P2',
      from: '    for (const { record } of this.#deps.boards.board.active()) if (isProvisional(record)) yield record.hlc\n',
      to: '',
      why: 'a node whose clock is behind comes before what it knew of',
    },
    {
      name: 'own-claims-of-one-moment',
      rule: 'P2',
      from: '    for (const { hlc } of this.#claims.values()) yield hlc\n',
      to: '',
      why: 'chance orders what one node did one after the other',
    },
    {
      name: 'names-of-voters-too-long',
      rule: 'M13',
      from: 'missing.map((name) => name.slice(0, VOTER_NAME_CHARS_MAX))',
      to: 'missing',
      why: 'a member with a long name makes locks unreadable',
    },
    {
      name: 'settled-without-a-disk',
      rule: 'P5',
      from: '    if (!put.ok) await this.withdraw(claim)\n',
      to: '',
      why: 'a lock that its caller was refused is in the way of others',
    },
    {
      name: 'lost-while-it-settled',
      rule: 'P3',
      from: '    if (claim.lostTo) return err(lossOf(claim))\n',
      to: '',
      why: 'whoever lost in the last moment is told to hold the lock',
    },
  ]),
  ...mutantsOf({ file: `${LOCKS}/lock-claim.ts`, rule: 'P1', scenario: 'claim-settles' }, [
    {
      name: 'settled-from-the-start',
      from: "settled: state !== 'settling'",
      to: 'settled: true',
      why: 'others see a lock that does not count yet',
    },
  ]),
  ...mutantsOf({ file: PROVISIONAL, rule: 'P3', scenario: 'claim-certified' }, [
    {
      name: 'gives-way-with-a-certificate',
      from: "    claim.state = 'certifying'\n",
      to: '',
      why: 'both sides of a cut give way to each other',
    },
    {
      name: 'certified-after-its-end',
      rule: 'P4',
      from: '!stands(claim) || claim.targets',
      to: 'claim.targets',
      why: 'what was lost or given back comes back',
      expects: ['P3', 'P4'],
    },
    {
      name: 'second-lease-kept',
      from: '      await leases.release(lease.leaseId)\n      return err',
      to: '      return err',
      why: 'a lease that no lock belongs to blocks others',
    },
    {
      name: 'prolonged-in-vain',
      rule: 'L2.8',
      from: '    leases.extend(lease.leaseId, claim.terms.untilMs)\n',
      to: '',
      why: 'what was prolonged while the voters were asked ends as first wished',
    },
    {
      name: 'claim-beside-its-certificate',
      rule: 'P4',
      from: '    await this.#close(claim)\n    return ok(viewsOf',
      to: '    return ok(viewsOf',
      why: 'a claim is asked for, and ended, after it was certified',
    },
    {
      name: 'ended-after-the-write',
      rule: 'P4',
      from: "    claim.state = 'ended'\n    const position",
      to: '    const position',
      why: 'what was given back is certified while that is being written',
    },
  ]),
  ...mutantsOf({ file: PROVISIONAL, rule: 'P4', scenario: 'claim-refused' }, [
    {
      name: 'refused-certificate-ends-claim',
      from: '        claim.state = before\n',
      to: '',
      why: 'a lock is neither held nor told to be lost',
    },
    {
      name: 'refused-certificate-keeps-lease',
      rule: 'L2.5',
      from: '        await leases.release(lease.leaseId)\n        this.#armExpiry',
      to: '        this.#armExpiry',
      why: 'a lease that no lock belongs to blocks others',
    },
    {
      name: 'refused-certificate-without-end',
      rule: 'P1',
      from: '        this.#armExpiry(claim)\n        this.review()',
      to: '        this.review()',
      why: 'a claim whose time was up meanwhile never ends',
    },
    {
      name: 'refused-certificate-deaf',
      rule: 'P3',
      from: '        this.review()\n',
      to: '',
      why: 'of two holders neither gives way',
    },
  ]),
  ...mutantsOf({ file: PROVISIONAL, rule: 'P1', scenario: 'claim-ends' }, [
    {
      name: 'settled-without-end',
      from: '    claim.missing = missing.map((name) => name.slice(0, VOTER_NAME_CHARS_MAX))\n    this.#armExpiry(claim)\n',
      to: '    claim.missing = missing.map((name) => name.slice(0, VOTER_NAME_CHARS_MAX))\n',
      why: 'a claim outlives its time, and becomes a notice at the next start',
    },
    {
      name: 'one-timer-over-sleep',
      from: 'Math.min(Math.ceil(leftMs), TIMER_MAX_MS)',
      to: 'Math.ceil(leftMs)',
      why: 'a claim outlives the sleep of its host',
    },
    {
      name: 'ends-with-its-first-timer',
      from: '      if (claim.terms.untilMs > this.#deps.clock.wallMs()) this.#armExpiry(claim)\n      else this',
      to: '      this',
      why: 'a lock ends a minute after it was taken',
    },
    {
      name: 'ended-claims-count',
      from: '    this.#claims.delete(claim.id)\n',
      to: '',
      why: 'after so many claims a node makes none any more',
    },
    {
      name: 'timer-of-an-ended-claim',
      rule: 'P4',
      from: '    claim.cancelExpiry()\n    this.#claims.delete',
      to: '    this.#claims.delete',
      why: 'what has ended is ended again',
    },
    {
      name: 'two-timers',
      rule: 'P4',
      from: '    claim.cancelExpiry()\n    const leftMs',
      to: '    const leftMs',
      why: 'what has ended is ended again',
    },
    {
      name: 'claim-without-paths',
      rule: 'P4',
      from: 'if (rest.length === 0) return',
      to: 'if (rest.length > 9999) return',
      why: 'a claim goes on without a path',
    },
  ]),
  ...mutantsOf({ file: PROVISIONAL, rule: 'P5', scenario: 'claims-of-a-stopped-node' }, [
    {
      name: 'gives-way-after-the-end',
      from: ' || this.#isStopped) return\n    const known',
      to: ') return\n    const known',
      why: 'what one process of a node decides, the next one does not know',
    },
    {
      name: 'timers-after-the-end',
      from: '    for (const { cancelExpiry } of this.#claims.values()) cancelExpiry()\n',
      to: '',
      why: 'a node that has stopped writes',
    },
    {
      name: 'notices-after-the-end',
      from: '    if (this.#isStopped) return\n    const { notices, live',
      to: '    const { notices, live',
      why: 'a node that has stopped writes',
    },
  ]),
]
