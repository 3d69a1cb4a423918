import { expect, it } from 'vitest'
import { createContentCheck } from '../../../../node/services/sync/sync-content.ts'
import { settle } from '../../../support/clock.ts'
import { createSeededRandom } from '../../../support/identity.ts'
import { createMembership, createTestReplica, OTHER_PROJECT, PROJECT, setKey } from '../../../support/replicas.ts'

it('[D3] after a restart nothing is loaded to be compared', async () => {
  const membership = createMembership(2)
  const before = await createTestReplica(0, membership)
  for (const doc of [PROJECT, OTHER_PROJECT]) await before.documents.write(doc, undefined, setKey('x', 1))
  const { documents, clock, log, peer } = await createTestReplica(0, membership, before.store.crash())
  const theirs = documents.vectors()
  const claims: (string | undefined)[] = []
  const check = createContentCheck({ feeds: documents, clock, random: createSeededRandom(1), log })
  const offer = (): void => check.offer(theirs, ({ doc }) => claims.push(doc))
  const loaded = () => documents.info().filter((info) => info.loaded).length
  offer()
  check.compare(peer, { t: 'hash', doc: PROJECT, at: [[peer, 1]], hash: new Uint8Array(32) })
  expect([loaded(), log.lines]).toEqual([0, []])
  await documents.read(OTHER_PROJECT, () => undefined)
  offer()
  await expect.poll(() => claims).toEqual([OTHER_PROJECT])
})

it('[D3] looks at one document at a time, and rests fifty times as long as it took', async () => {
  const { documents, clock, log } = await createTestReplica(0, createMembership(1))
  await documents.write(PROJECT, undefined, setKey('x', 1))
  const hashes: PromiseWithResolvers<Uint8Array>[] = []
  const contentHash = (): Promise<Uint8Array> => {
    const hash = Promise.withResolvers<Uint8Array>()
    hashes.push(hash)
    return hash.promise
  }
  const claims: string[] = []
  const feeds = {
    vectors: () => documents.vectors(),
    hasContent: () => true,
    contentHash,
  }
  const check = createContentCheck({ feeds, clock, random: createSeededRandom(1), log })
  const offer = (): void => check.offer(documents.vectors(), ({ doc }) => claims.push(doc))
  offer()
  offer()
  expect(hashes).toHaveLength(1)
  await clock.advance(1000)
  hashes[0]?.resolve(new Uint8Array(32))
  await settle()
  expect(claims).toEqual([PROJECT])
  offer()
  await clock.advance(49_999)
  offer()
  expect(hashes).toHaveLength(1)
  await clock.advance(1)
  offer()
  expect(hashes).toHaveLength(2)
})
