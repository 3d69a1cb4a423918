import { describe, expect, it } from 'vitest'
import type { PeerId } from '../../../../crdt/ids.ts'
import { domainError } from '../../../../crdt/errors.ts'
import { err, ok } from '../../../../crdt/result.ts'
import type { VoterChange, VoterService, VotersView } from '../../../../node/services/leases/voter-service.ts'
import type { MembershipService } from '../../../../node/services/membership/membership-service.ts'
import { createElectorateService, type ElectorateDeps } from '../../../../node/services/voters/electorate-service.ts'
import { identity } from '../../../support/identity.ts'
import { addNode, codeOf, createLab } from '../membership/mesh-lab.ts'

const peer = (n: number): PeerId => identity(n).peer

/** A voter service that does as it is told, of which only the answers matter here. */
function createVoters(names: ReadonlyMap<PeerId, string>) {
  const changes: VoterChange[] = []
  let voters: readonly PeerId[] = [peer(0)]
  const view = (): VotersView => ({
    epoch: 1 + changes.length,
    quorum: Math.floor(voters.length / 2) + 1,
    voters: voters.map((id) => ({ peerId: id, name: names.get(id) ?? '?', online: true, problem: null })),
    isForced: false,
    grantsAgainInMs: null,
  })
  const service: VoterService = {
    view,
    async set(change, signal) {
      if (signal?.aborted) return err(domainError('cancelled'))
      changes.push(change)
      voters = change.members as PeerId[]
      return ok(view())
    },
  }
  return { service, changes }
}

async function mesh(n = 0, change: Partial<ElectorateDeps> = {}) {
  const lab = createLab()
  const home = await lab.founder()
  const others = [await addNode(lab, home, 1), await addNode(lab, home, 2, ['store'])]
  const { membership } = n === 0 ? home : others[n - 1]!
  await membership.receive(home.membership.all())
  const voters = createVoters(new Map([[peer(0), 'founder']]))
  const electorate = createElectorateService({
    self: peer(n),
    voters: voters.service,
    membership,
    presence: { state: (id) => (id === peer(1) ? 'online' : 'away') },
    availability: {
      of: (id) => (id === peer(1) ? { observedMinutes: 3000, share: 0.99 } : { observedMinutes: 0, share: null }),
    },
    isAlwaysOn: (id) => id === peer(0),
    nameOf: (id) => (id === peer(2) ? 'renamed' : (membership.current().members.get(id)?.name ?? id)),
    log: lab.log,
    ...change,
  })
  return { electorate, membership, home, changes: voters.changes }
}

const votesIn = (membership: MembershipService): boolean[] =>
  [0, 1, 2].map((n) => membership.current().members.get(peer(n))?.capabilities.has('vote') ?? false)

describe('the electorate', () => {
  it('[L2.7] shows every member as a voter or as one that could be', async () => {
    const { electorate } = await mesh()
    const shown = electorate
      .view()
      .machines.map(({ name, online, voter, eligible, availability, observedHours, alwaysOn }) => [
        name,
        online,
        voter,
        eligible,
        availability,
        observedHours,
        alwaysOn,
      ])
    expect(shown).toEqual([
      ['founder', true, true, true, null, 0, true],
      ['node 1', true, false, true, 0.99, 50, false],
      ['renamed', false, false, false, null, 0, false],
    ])
    expect(electorate.view()).toMatchObject({ epoch: 1, quorum: 1, suggestion: null })
  })

  it('[L2.7] suggests a set when there is a better one', async () => {
    const { electorate } = await mesh(0, { isAlwaysOn: () => true })
    expect(electorate.view().suggestion).toEqual([peer(0), peer(2), peer(1)])
  })

  it('[L2.7] never counts a voter that was removed, and says what to do', async () => {
    const { electorate, membership } = await mesh()
    await electorate.set({ members: [peer(0), peer(1)] })
    await membership.author(() => ok({ type: 'remove', peer: peer(1), cuts: {} }))
    const gone = electorate.view().machines.at(-1)
    expect(gone).toMatchObject({ peerId: peer(1), voter: true, eligible: false })
    expect(electorate.view().problems).toEqual([expect.stringContaining('choose another voter')])
  })

  it('[M5] grants `vote` to whoever votes by now, as far as this node may', async () => {
    const admin = await mesh()
    expect(codeOf(await admin.electorate.set({ members: [peer(0), peer(2)] }))).toBe('ok')
    expect(votesIn(admin.membership)).toEqual([true, false, true])
    const other = await mesh(1)
    expect(codeOf(await other.electorate.set({ members: [peer(0), peer(2)] }))).toBe('ok')
    expect(votesIn(other.membership)).toEqual([true, false, false])
  })

  it('[L2.7] changes nothing when the change is given up', async () => {
    const { electorate, membership, changes } = await mesh()
    const before = membership.all().length
    expect(codeOf(await electorate.set({ members: [peer(2)] }, AbortSignal.abort()))).toBe('cancelled')
    expect([changes, membership.all().length]).toEqual([[], before])
  })
})
