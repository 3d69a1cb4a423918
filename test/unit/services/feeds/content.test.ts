import { expect, it } from 'vitest'
import { contentHash } from '../../../../protocols/feed/content-hash.ts'
import { settle } from '../../../support/clock.ts'
import { crypto } from '../../../support/identity.ts'
import { createMembership, createTestReplica, PROJECT, setKey, type TestReplica } from '../../../support/replicas.ts'

/** A replica with a document of some megabytes, on a machine on which every piece of work takes long. */
async function withLargeDocument(onPause: (replica: TestReplica) => void): Promise<TestReplica> {
  const replica = await createTestReplica(0, createMembership(1))
  for (let n = 0; n < 40; n++) await replica.documents.write(PROJECT, undefined, setKey(`${n}`, 'x'.repeat(100_000)))
  let ms = 1e6
  const after = replica.clock.after.bind(replica.clock)
  replica.clock.monoMs = () => (ms += 20)
  replica.clock.after = (delayMs, task) => {
    if (delayMs === 0) onPause(replica)
    return after(delayMs, task)
  }
  return replica
}

async function hashOf({ documents, clock }: TestReplica): Promise<Uint8Array> {
  let hash: Uint8Array | undefined
  const done = documents.contentHash(PROJECT).then((value) => (hash = value))
  while (!hash) {
    await settle()
    await clock.advance(0)
  }
  return await done
}

const atOnce = ({ documents }: TestReplica): Promise<Uint8Array> =>
  documents.read(PROJECT, (state) => contentHash(state, crypto))

it('[D3] the content of a large document is hashed a piece at a time, and is what it is at once', async () => {
  let pauses = 0
  const replica = await withLargeDocument(() => pauses++)
  expect(await hashOf(replica)).toEqual(await atOnce(replica))
  expect(pauses).toBeGreaterThan(20)
})

it('what has not changed is not hashed again, nor brought into memory for it', async () => {
  let pauses = 0
  const replica = await withLargeDocument(() => pauses++)
  const before = [await hashOf(replica), pauses] as const
  expect([await hashOf(replica), pauses]).toEqual(before)
  replica.clock.monoMs = () => Infinity
  await replica.clock.advance(10_000)
  const isLoaded = (): boolean[] => replica.documents.info().map(({ loaded }) => loaded)
  expect([isLoaded(), await replica.documents.contentHash(PROJECT), isLoaded()]).toEqual([[false], before[0], [false]])
  await replica.documents.write(PROJECT, undefined, setKey('more', 1))
  expect(await hashOf(replica)).toEqual(await atOnce(replica))
  expect(await hashOf(replica)).not.toEqual(before[0])
})

it.each([1, Infinity])('[D3] a document that changes in %d pauses is hashed as it is at one moment', async (times) => {
  let pauses = 0
  const writes: Promise<unknown>[] = []
  const replica = await withLargeDocument(({ documents }) => {
    if (++pauses <= times) writes.push(documents.write(PROJECT, undefined, setKey('pause', pauses)))
  })
  expect(await hashOf(replica)).toEqual(await atOnce(replica))
  expect(pauses).toBeGreaterThan(times === 1 ? 20 : 2)
  await Promise.all(writes)
})
