/** One guard of the product taken out, and schedules that go wrong without it. */
export type LockMutant = {
  readonly file: string
  readonly from: string
  readonly to: string
  readonly seeds: readonly number[]
}

export const LOCK_MUTANTS: Readonly<Record<string, LockMutant>> = {
  'a claim counts at once, without waiting for objections': {
    file: 'node/services/locks/lock-provisional.ts',
    from: 'claim.settledAtMs - this.#deps.clock.monoMs()',
    to: '0',
    seeds: [],
  },
  'a claim that has lost comes back when its rival is gone': {
    file: 'node/services/locks/lock-provisional.ts',
    from: "  yieldTo(claim: Claim, conflict: LockConflict): void {\n    if (claim.state !== 'held') return\n    this.#end(claim)",
    to: "  yieldTo(claim: Claim, conflict: LockConflict): void {\n    if (claim.state !== 'held') return",
    seeds: [],
  },
  'a claim gives way while its certificate is being written': {
    file: 'node/services/locks/lock-claim.ts',
    from: "state === 'settling' || state === 'held'",
    to: "state !== 'ended'",
    seeds: [],
  },
  'a claim that gave way gets a certificate all the same': {
    file: 'node/services/locks/lock-provisional.ts',
    from: 'if (!stands(claim) || claim.targets !== targets) {',
    to: 'if (claim.targets !== targets) {',
    seeds: [],
  },
  'certified does not come before provisional': {
    file: 'crdt/lock-rank.ts',
    from: 'return a.token !== null',
    to: 'return a.token === null',
    seeds: [],
  },
  'the later claim wins on one node, the earlier on another': {
    file: 'crdt/lock-rank.ts',
    from: 'return order === 0 ? a.lease < b.lease : order < 0',
    to: 'return true',
    seeds: [],
  },
  'the notice is kept in memory': {
    file: 'node/services/locks/lock-provisional.ts',
    from: "notices.put(terms.projectId, { ...noticeOf(claim), state: 'open' })",
    to: 'Promise.resolve(ok(null))',
    seeds: [],
  },
}
