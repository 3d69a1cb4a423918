/** One guard of the product taken out, and a schedule that goes wrong without it. */
export type LockMutant = {
  readonly file: string
  readonly from: string
  readonly to: string
  readonly seed: number
}

const PROVISIONAL = 'node/services/locks/lock-provisional.ts'

export const LOCK_MUTANTS: Readonly<Record<string, LockMutant>> = {
  'the earlier claim is not the better one for both sides': {
    file: 'crdt/lock-rank.ts',
    from: 'return order === 0 ? a.lease < b.lease : order < 0',
    to: 'return true',
    seed: 2,
  },
  'a claim gives way to any other, better or not': {
    file: 'node/services/locks/lock-rivals.ts',
    from: 'outranks(record, mine)',
    to: 'record !== undefined && mine !== undefined',
    seed: 2,
  },
  'a claim that has lost is still asked for': {
    file: PROVISIONAL,
    from: "    if (claim.state !== 'held') return\n    this.#end(claim)\n",
    to: "    if (claim.state !== 'held') return\n",
    seed: 2,
  },
  'a claim that lost while it was asked for gets its certificate': {
    file: PROVISIONAL,
    from: '!stands(claim) || claim.targets !== targets',
    to: 'claim.targets !== targets',
    seed: 111,
  },
  'a claim that is open is not on disk': {
    file: PROVISIONAL,
    from: "notices.put(terms.projectId, { ...noticeOf(claim), state: 'open' })",
    to: 'Promise.resolve(ok(null))',
    seed: 13,
  },
}
