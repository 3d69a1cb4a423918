import { mutantsOf, type Mutant } from '../mutant.ts'

const common = { file: 'node/services/locks/lock-provisional.ts', rule: 'I8', quick: true }

export const lockMutants: readonly Mutant[] = mutantsOf(common, [
  {
    name: 'the earlier claim is not the better one for both sides',
    file: 'crdt/lock-rank.ts',
    from: 'return order === 0 ? a.lease < b.lease : order < 0',
    to: 'return true',
    why: 'of two claims none gives way, or both',
    seeds: [2],
  },
  {
    name: 'a claim gives way to any other, better or not',
    file: 'node/services/locks/lock-rivals.ts',
    from: 'outranks(record, mine)',
    to: 'record !== undefined && mine !== undefined',
    why: 'two claims give way to each other',
    seeds: [2],
  },
  {
    name: 'a claim that has lost is still asked for',
    from: "    if (claim.state !== 'held') return\n    this.#end(claim)\n",
    to: "    if (claim.state !== 'held') return\n",
    why: 'what its holder was told to have lost comes back',
    seeds: [2],
  },
  {
    name: 'a claim that lost while it was asked for gets its certificate',
    from: '!stands(claim) || claim.targets !== targets',
    to: 'claim.targets !== targets',
    why: 'what its holder was told to have lost comes back',
    seeds: [111],
  },
  {
    name: 'a claim that is open is not on disk',
    from: "notices.put(terms.projectId, { ...noticeOf(claim), state: 'open' })",
    to: 'Promise.resolve(ok(null))',
    why: 'whoever held a provisional lock before a restart never hears what became of it',
    seeds: [13],
  },
]).map((cut) => ({ ...cut, play: playLocks }))

async function playLocks(seed: number): Promise<readonly string[]> {
  const { playLocks: play } = await import('../../../support/lock-schedules.ts')
  return (await play(seed)).faults.map((fault) => `[I8] ${fault}`)
}
