import { afterEach, describe, expect, it } from 'vitest'
import type { FileLock } from '../../../../crdt/lock.ts'
import { ClaimLab, codeOf, passing, PROJECT, valueOf, type LabNode } from '../../../support/claim-lab.ts'
import { settle } from '../../../support/clock.ts'

/* What befalls a provisional lock between the grant of its voters and the certificate on its node's disk. */

let lab: ClaimLab
afterEach(() => lab.close())

const list = async (node: LabNode): Promise<readonly FileLock[]> => valueOf(await node.locks.list(PROJECT))

async function lock(node: LabNode, instanceId: string, durationMinutes = 30): Promise<string> {
  const wish = { path: 'a.ts', instanceId, durationMinutes }
  const result = await passing(lab, node.locks.acquire(node.actor(`token of ${instanceId}`), PROJECT, wish))
  await settle()
  return result.ok ? result.value.guarantee : result.error.code
}

type Disk = { take(): void; refuse(): void }

/** What is to outlive the process is neither taken nor refused before the test says so; all else is written at once. */
function slowFacts({ store }: LabNode): Disk {
  const putFact = store.putFact.bind(store)
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  store.putFact = async (key, value) => {
    await promise
    await putFact(key, value)
  }
  return {
    take: resolve,
    refuse() {
      reject(new Error('the disk is full'))
      store.putFact = putFact
    },
  }
}

/** The only voter has granted what `holder` held provisionally, and the holder's disk has yet to take the certificate. */
async function beingCertified(durationMinutes?: number): Promise<[voter: LabNode, holder: LabNode, disk: Disk]> {
  lab = await ClaimLab.create({ nodes: 2, voters: 1 })
  const [voter, holder] = [lab.nodes[0]!, lab.nodes[1]!]
  await lab.pass(5000)
  await lab.split([voter], [holder])
  await lab.pass(20_000)
  expect(await lock(holder, 'one', durationMinutes)).toBe('provisional')
  const disk = slowFacts(holder)
  await lab.heal()
  await lab.pass(10_000)
  expect([holder.leases.held().length, (await list(holder)).map(({ guarantee }) => guarantee)]).toEqual([
    1,
    ['provisional'],
  ])
  return [voter, holder, disk]
}

describe('a lock whose certificate is being written', () => {
  it.each([
    { by: 'forced', disk: 'take' },
    { by: 'forced', disk: 'refuse' },
    { by: 'its holder’s', disk: 'take' },
  ] as const)('[L2.8] is not held after its release ($by; the disk may $disk it)', async ({ by, disk: answer }) => {
    const [voter, holder, disk] = await beingCertified()
    const ended =
      by === 'forced'
        ? voter.locks.forceRelease(voter.actor('admin', ['lock:admin']), PROJECT, 'a.ts')
        : voter.locks.release(voter.actor('token of one'), PROJECT, { path: 'a.ts', instanceId: 'one' })
    await settle()
    disk[answer]()
    expect(codeOf(await passing(lab, ended))).toBe('ok')
    await settle()
    expect([await list(voter), await list(holder), holder.leases.held()]).toEqual([[], [], []])
    expect(await lock(voter, 'two')).toBe('certified')
    await lab.pass(120_000)
    expect((await list(holder)).map(({ instanceId }) => instanceId)).toEqual(['two'])
  })

  it('[P1] ends when its time is up, also when that came meanwhile and the certificate was refused', async () => {
    const [voter, holder, disk] = await beingCertified(1)
    await lab.pass(60_000)
    await lab.split([voter], [holder])
    disk.refuse()
    await lab.pass(5000)
    expect([await list(holder), holder.leases.held()]).toEqual([[], []])
    // It ended with its time, and not with the process: there is nothing to tell.
    const again = await lab.restart(1)
    await lab.pass(5000)
    expect(valueOf(await again.locks.notices(PROJECT))).toEqual([])
  })
})
