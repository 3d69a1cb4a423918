import { expect, it } from 'vitest'
import { decodeCanonical, encodeCanonical } from '../../../../protocols/codec.ts'
import { z } from 'zod'
import { createMembership, createTestReplica, PROJECT, setKey } from '../../../support/replicas.ts'

const COUNT = 300

async function written(): Promise<{ membership: ReturnType<typeof createMembership>; envelopes: Uint8Array[] }> {
  const membership = createMembership(2)
  const author = await createTestReplica(0, membership)
  for (let i = 0; i < COUNT; i++) await author.documents.write(PROJECT, undefined, setKey(`${i}`, i))
  return { membership, envelopes: author.store.appends.flat().map(({ bytes }) => bytes) }
}

it('[M11] checks the signatures of many envelopes in other threads, each for itself', async () => {
  const { membership, envelopes } = await written()
  const spoilt = decodeCanonical(z.looseObject({ sig: z.custom<Uint8Array>() }), envelopes[200]!, 1_000_000)
  const forged = encodeCanonical({ ...spoilt, sig: new Uint8Array(64).fill(1) })
  const { documents, peer } = await createTestReplica(1, membership)
  const outcome = await documents.receive(envelopes.with(200, forged), peer)
  expect(outcome.refused.map(({ reason }) => reason)).toEqual(['the signature is not valid'])
  expect([outcome.applied, outcome.waiting]).toEqual([200, COUNT - 201])
  expect((await documents.receive(envelopes.slice(200), peer)).refused).toEqual([])
  expect(documents.headsOf((await createTestReplica(0, membership)).peer).get(PROJECT)?.seq).toBe(COUNT)
})
