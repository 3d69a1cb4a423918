import * as Y from 'yjs'
import { MalformedError } from '../../../protocols/codec.ts'
import {
  clientIdOf,
  hasValidSignature,
  parseHeldEnvelope,
  parseKeptEnvelope,
  tryParseEnvelope,
} from '../../../protocols/feed/envelope.ts'
import { inspectUpdate } from '../../../protocols/feed/inspect.ts'
import { renameUpdate } from '../../../protocols/feed/rename.ts'
import { createReplicaDoc } from '../../../protocols/feed/replica-doc.ts'
import { crypto, identity } from '../../support/identity.ts'
import { Forger, PROJECT } from '../../support/replicas.ts'
import { never, type Target } from '../target.ts'

const NONCE = new Uint8Array(16).fill(7)
const CLIENT = clientIdOf(crypto, identity(3).peer, PROJECT, NONCE)
const HONEST = 100
const NAMED_ANEW = 300

function createBase(): Uint8Array {
  const doc = createReplicaDoc()
  doc.clientID = HONEST
  doc.getMap('m').set('n', new Y.Map<unknown>([['x', 1]]))
  doc.getArray('l').push([1, 2, new Y.Map(), 'x'])
  doc.getText('t').insert(0, 'hello world')
  doc.getText('t').delete(3, 2)
  return Y.encodeStateAsUpdate(doc)
}
const base = createBase()

/** What an honest author writes onto the base, in several ways. */
const updates = [
  (doc: Y.Doc) => doc.getText('t').insert(2, 'ZZ'),
  (doc: Y.Doc) => doc.getMap('m').set('a', { deep: [1, { er: 'x' }] }),
  (doc: Y.Doc) => doc.getMap('m').delete('n'),
  (doc: Y.Doc) => doc.getArray('l').insert(1, [new Y.Array(), 1.5, null, new Uint8Array(3)]),
  (doc: Y.Doc) => doc.getMap('m').set('n', new Y.Map([['y', new Y.Text('inner')]])),
].map((change) => {
  const doc = createReplicaDoc()
  Y.applyUpdate(doc, base)
  doc.clientID = CLIENT
  const before = Y.encodeStateVector(doc)
  doc.transact(() => change(doc))
  return Y.encodeStateAsUpdate(doc, before)
})

const forger = new Forger(3)
const envelopes = updates.map((update, i) => forger.seal(update, i === 0 ? { nonce: NONCE } : {}).bytes)

/** As a replica does: look at it, and only what is sound touches a document, whole. */
function takeUpdate(update: Uint8Array): unknown {
  const doc = createReplicaDoc()
  Y.applyUpdate(doc, base)
  const clockOf = (client: number): number => Y.getState(doc.store, client)
  if (inspectUpdate(update, { client: CLIENT, clockOf }).kind !== 'sound') return undefined
  const rename = (client: number, clock: number) => ({
    client: client === CLIENT ? NAMED_ANEW : client,
    clock,
    length: Infinity,
  })
  Y.applyUpdate(doc, renameUpdate(update, rename))
  if (doc.store.pendingStructs !== null || doc.store.pendingDs !== null)
    throw new Error('a sound update left something over')
  doc.destroy()
  return true
}

export const feedTargets: readonly Target[] = [
  {
    name: 'envelope',
    reach: 'a member',
    sites: ['protocols/feed/envelope.ts decodeCanonical(Sealed'],
    form: 'cbor',
    samples: envelopes,
    take(bytes) {
      const envelope = tryParseEnvelope(bytes, crypto)
      return typeof envelope === 'string' ? undefined : hasValidSignature(envelope, crypto)
    },
    isRefusal: never,
  },
  {
    name: 'update in an envelope',
    reach: 'a member',
    sites: [
      'protocols/feed/inspect.ts Y.decodeUpdate(',
      'protocols/feed/rename.ts Y.decodeUpdate(',
      'protocols/feed/branches.ts Y.decodeUpdate(',
      'node/services/feeds/loading.ts .applyUpdate(',
    ],
    form: 'bytes',
    samples: updates,
    take: takeUpdate,
    isRefusal: never,
  },
  {
    name: 'envelope that an earlier release has accepted',
    reach: 'a member',
    sites: ['protocols/feed/envelope.ts decode('],
    form: 'cbor',
    samples: envelopes,
    take: (bytes) => parseKeptEnvelope(bytes, crypto),
    isRefusal: (error) => error instanceof MalformedError,
  },
  {
    name: 'envelope of a forked feed that an earlier release has accepted',
    reach: 'a member',
    sites: ['protocols/feed/envelope.ts decodeInPlace(Sealed'],
    form: 'cbor',
    samples: envelopes,
    take: (bytes) => parseHeldEnvelope(bytes, crypto),
    isRefusal: (error) => error instanceof MalformedError,
  },
]
