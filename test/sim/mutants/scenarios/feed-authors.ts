import * as Y from 'yjs'
import { z } from 'zod'
import { writtenAt } from '../../../../crdt/written-values.ts'
import { decodeCanonical, encodeCanonical } from '../../../../protocols/codec.ts'
import { clientIdOf } from '../../../../protocols/feed/envelope.ts'
import { crypto } from '../../../support/identity.ts'
import { createMembership, createTestReplica, Forger, PROJECT, setKey, sync } from '../../../support/replicas.ts'
import type { TestReplica } from '../../../support/replicas.ts'
import type { Report, Scenario } from '../scenario.ts'

export const feedAuthorScenarios: readonly Scenario[] = [
  { id: 'feed-authors', says: 'Of everything in a document it is known who wrote it.', run: authors },
]

const authorAt = ({ documents }: TestReplica, key: string) =>
  documents.read(PROJECT, (state) => documents.authorOf(PROJECT, writtenAt(state.getMap('m'), key)?.client ?? -1))

async function authors({ must }: Report): Promise<void> {
  const membership = createMembership(3)
  const first = await createTestReplica(0, membership)
  await first.documents.write(PROJECT, undefined, setKey('former', 1))
  const second = await createTestReplica(0, membership, first.store.crash())
  let isOwn = false
  await second.documents.write(PROJECT, undefined, (state) => {
    isOwn = second.documents.authorOf(PROJECT, state.clientID) === second.peer
  })
  must('M11', isOwn, 'what a node has just written is nobody’s')
  for (let i = 0; i < 120; i++) await second.documents.write(PROJECT, undefined, setKey('present', i))
  await second.documents.close()
  const disk = second.store.crash()
  const snapshot = await disk.loadSnapshot(PROJECT)
  const third = await createTestReplica(0, membership, disk)
  for (const key of ['former', 'present'])
    must('M15', (await authorAt(third, key)) === third.peer, `with a snapshot nobody has written what is ${key}`)
  if (!snapshot) return must('M15', false, 'there is no snapshot')
  const clients = z.array(z.tuple([z.string(), z.number()]))
  const body = decodeCanonical(z.looseObject({ clients }), snapshot.bytes, 1_000_000)
  must('M15', body.clients.length === 2, 'a snapshot does not say who wrote what')
  const bytes = encodeCanonical({ ...body, clients: [...new Map(body.clients)] })
  await third.documents.close()
  await third.store.saveSnapshot(PROJECT, { ...snapshot, bytes })
  const fourth = await createTestReplica(0, membership, third.store.crash())
  must('M15', (await authorAt(fourth, 'former')) === fourth.peer, 'a snapshot of before hides who wrote what')
  await branches({ must })
}

/** A feed in two branches; the one that somebody builds on is part of the document, under names of its own. */
async function branches({ must }: Report): Promise<void> {
  const membership = createMembership(4)
  const [a, b] = [await createTestReplica(0, membership), await createTestReplica(1, membership)]
  const nonce = new Uint8Array(16).fill(7)
  const seal = (forger: Forger, key: string) => {
    const state = new Y.Doc()
    state.clientID = clientIdOf(crypto, forger.peer, PROJECT, nonce)
    setKey(key, key)(state)
    return forger.seal(Y.encodeStateAsUpdate(state), { nonce }).bytes
  }
  const [one, other] = [seal(new Forger(3), 'one'), seal(new Forger(3), 'other')]
  await a.documents.receive([one], new Forger(3).peer)
  await a.documents.write(PROJECT, undefined, (state) => state.getMap('m').set('upon', state.getMap('m').get('one')))
  await b.documents.receive([other], new Forger(3).peer)
  for (let round = 0; round < 4; round++) {
    await sync(a, b)
    await sync(b, a)
  }
  for (const replica of [a, b])
    must('M12', (await authorAt(replica, 'one')) === new Forger(3).peer, 'nobody has written what is in a branch')
}
