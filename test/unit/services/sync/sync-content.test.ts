import { expect, it } from 'vitest'
import { createContentCheck } from '../../../../node/services/sync/sync-content.ts'
import { createSeededRandom } from '../../../support/identity.ts'
import { createMembership, createTestReplica, OTHER_PROJECT, PROJECT, setKey } from '../../../support/replicas.ts'

it('[D3] after a restart nothing is loaded to be compared', async () => {
  const membership = createMembership(2)
  const before = await createTestReplica(0, membership)
  for (const doc of [PROJECT, OTHER_PROJECT]) await before.documents.write(doc, undefined, setKey('x', 1))
  const { documents, log, peer } = await createTestReplica(0, membership, before.store.crash())
  const theirs = documents.vectors()
  const check = createContentCheck({ feeds: documents, random: createSeededRandom(1), log })
  const loaded = () => documents.info().filter((info) => info.loaded).length
  expect(await check.offer(theirs)).toBeUndefined()
  await check.compare(peer, { t: 'hash', doc: PROJECT, at: [[peer, 1]], hash: new Uint8Array(32) })
  expect([loaded(), log.lines]).toEqual([0, []])
  await documents.read(OTHER_PROJECT, () => undefined)
  expect((await check.offer(theirs))?.doc).toBe(OTHER_PROJECT)
})
