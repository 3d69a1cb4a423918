import * as encoding from 'lib0/encoding'
import * as Y from 'yjs'
import { expect, it } from 'vitest'
import { inspectUpdate } from '../../../protocols/feed/inspect.ts'
import { createReplicaDoc } from '../../../protocols/feed/replica-doc.ts'
import { createSeededRandom } from '../../support/identity.ts'

const HONEST = 100
const OTHER = 200
const HOSTILE = 300

/** A document with something of every kind in it, deleted things too. */
function createBase(): Uint8Array {
  const doc = createReplicaDoc()
  doc.clientID = HONEST
  const [map, list, text] = [doc.getMap('m'), doc.getArray('l'), doc.getText('t')]
  map.set('a', 1)
  map.set(
    'n',
    new Y.Map<unknown>([
      ['x', 1],
      ['y', [1, 2]],
    ]),
  )
  map.set('a', 2)
  list.push([1, 2, new Y.Map(), 'x'])
  text.insert(0, 'hello world')
  text.delete(3, 2)
  map.set('gone', new Y.Map([['deep', new Y.Array()]]))
  map.delete('gone')
  return Y.encodeStateAsUpdate(doc)
}

/** What an honest member writes at the same time. */
function writeConcurrently(base: Uint8Array): Uint8Array {
  const doc = createReplicaDoc()
  Y.applyUpdate(doc, base)
  doc.clientID = OTHER
  const before = Y.encodeStateVector(doc)
  doc.getText('t').insert(2, 'ZZ')
  doc.getArray('l').insert(1, ['q'])
  doc.getMap('m').set('a', 9)
  doc.getMap('m').delete('n')
  doc.getArray('l').delete(0, 2)
  return Y.encodeStateAsUpdate(doc, before)
}

/** Well-formed structs at places that make no sense: any neighbours, any parent, any content, any deletion. */
function createHostile(below: (max: number) => number, known: number): Uint8Array {
  const out = encoding.createEncoder()
  const structs = below(12) + 1
  for (const value of [1, structs, HOSTILE, 0]) encoding.writeVarUint(out, value)
  let clock = 0
  const writeId = (): void => {
    const own = clock > 0 && below(3) === 0
    encoding.writeVarUint(out, own ? HOSTILE : HONEST)
    encoding.writeVarUint(out, below(own ? clock : known))
  }
  for (let n = 0; n < structs; n++) clock += writeStruct(out, below, writeId)
  const deletes = below(3)
  encoding.writeVarUint(out, deletes === 0 ? 0 : 1)
  if (deletes === 0) return encoding.toUint8Array(out)
  encoding.writeVarUint(out, HONEST)
  encoding.writeVarUint(out, deletes)
  for (let n = 0, at = 0; n < deletes; n++, at++) {
    at += below(Math.max(1, (known - at) >> 1))
    encoding.writeVarUint(out, at)
    encoding.writeVarUint(out, 1)
  }
  return encoding.toUint8Array(out)
}

/** Returns how many clocks it takes. */
function writeStruct(out: encoding.Encoder, below: (max: number) => number, writeId: () => void): number {
  const kind = [0, 1, 3, 4, 7, 8][below(6)] ?? 0
  const length = below(3) + 1
  if (kind === 0) {
    encoding.writeUint8(out, 0)
    encoding.writeVarUint(out, length)
    return length
  }
  const [left, right, key] = [below(2), below(2), below(2)]
  encoding.writeUint8(out, kind | (left << 7) | (right << 6) | (key << 5))
  if (left === 1) writeId()
  if (right === 1) writeId()
  if (left + right === 0) {
    const isRoot = below(2)
    encoding.writeVarUint(out, isRoot)
    if (isRoot === 1) encoding.writeVarString(out, ['m', 'l', 't', 'new'][below(4)] ?? '')
    else writeId()
    if (key === 1) encoding.writeVarString(out, ['a', 'n', 'x', 'gone'][below(4)] ?? '')
  }
  if (kind === 1) encoding.writeVarUint(out, length)
  if (kind === 3) encoding.writeVarUint8Array(out, new Uint8Array(2))
  if (kind === 4) encoding.writeVarString(out, 'abc'.slice(0, length))
  if (kind === 7) encoding.writeVarUint(out, below(3))
  if (kind === 8) {
    encoding.writeVarUint(out, length)
    for (let n = 0; n < length; n++) encoding.writeAny(out, n)
  }
  return kind === 3 || kind === 7 ? 1 : length
}

it.each([1, 2, 3, 4])(
  '[A-C2] structs at senseless places never break a document that accepts them (seed %i)',
  (seed) => {
    const random = createSeededRandom(seed)
    const below = (max: number): number => {
      const [a = 0, b = 0, c = 0] = random.bytes(3)
      return (a * 65_536 + b * 256 + c) % max
    }
    const base = createBase()
    const honest = writeConcurrently(base)
    const known = createReplicaDoc()
    Y.applyUpdate(known, base)
    const clocks = Y.getState(known.store, HONEST)
    let sound = 0
    for (let n = 0; n < 1500; n++) {
      const hostile = createHostile(below, clocks)
      const clockOf = (client: number): number => Y.getState(known.store, client)
      if (inspectUpdate(hostile, { client: HOSTILE, clockOf }).kind !== 'sound') continue
      sound++
      for (const order of [
        [base, hostile, honest],
        [base, honest, hostile],
      ]) {
        const doc = createReplicaDoc()
        for (const update of order) Y.applyUpdate(doc, update)
        expect([doc.store.pendingStructs, doc.store.pendingDs]).toEqual([null, null])
        doc.getMap('m').toJSON()
        doc.getArray('l').toJSON()
        doc.getText('t').toJSON()
        Y.applyUpdateV2(createReplicaDoc(), Y.encodeStateAsUpdateV2(doc))
      }
    }
    expect(sound).toBeGreaterThan(500)
  },
)
