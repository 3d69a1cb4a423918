import { writeUint8, writeVarUint } from 'lib0/encoding'
import * as Y from 'yjs'
import {
  accountsDoc,
  liveDoc,
  machineDoc,
  meshDoc,
  projectDoc,
  ProjectId,
  type DocId,
  type MeshId,
} from '../../../crdt/ids.ts'
import { encodeCanonical } from '../../../protocols/codec.ts'
import { ENVELOPE_BYTES_MAX, type Envelope, type EnvelopeBody } from '../../../protocols/feed/envelope.ts'
import { simPeer } from '../ports/sim-crypto.ts'
import { collected, handMade } from './forger.ts'
import type { Hostile } from './hostile.ts'
import type { Temper } from './plan.ts'
import { BRIEF } from './writer.ts'

export type Attack = (by: Hostile) => Promise<void>

/** A document of its own: what is left waiting there is in nobody's way. */
const ATTIC = projectDoc(ProjectId.parse('00000000-0000-4000-8000-00000000000a'))
const OUTSIDER = 90
/** Never reached by a feed of a simulation. */
const FAR = 100_000
const FLOOD = 60

/** What proves nothing against its author: forgery, noise, and claims that nobody can check. */
const SLY: Record<string, Attack> = {
  writesWell,
  async forgesAnAuthor(by) {
    const target = by.someHeard()
    if (!target) return
    const parts = { author: target.author, seq: target.seq + by.prng.int(0, 2), prev: by.prng.bytes(32) }
    await deliver(by, by.forger.seal(target.doc, own(by, target.doc), { ...parts, nonce: undefined }))
  },
  async tampers(by) {
    const target = by.someHeard()
    if (!target) return
    const bytes = target.bytes.slice()
    const at = by.prng.int(0, bytes.length - 1)
    bytes[at] = (bytes[at] ?? 0) ^ (1 << by.prng.int(0, 7))
    await deliverBytes(by, bytes, 'tampered')
  },
  async truncates(by) {
    const target = by.someHeard()
    if (target) await deliverBytes(by, target.bytes.slice(0, by.prng.int(0, target.bytes.length - 1)), 'truncated')
  },
  async replays(by) {
    const some = by.heard.filter(() => by.prng.chance(0.2)).map(({ bytes }) => bytes)
    await by.send(by.victims(), some.toReversed())
  },
  async sendsTooMuch(by) {
    await deliverBytes(by, by.prng.bytes(ENVELOPE_BYTES_MAX + 1), 'oversize')
  },
  async sendsNoise(by) {
    await by.sendFrame(by.victims(), by.prng.bytes(by.prng.int(1, 200)))
  },
  async namesAnotherMesh(by) {
    const update = own(by, ATTIC)
    await deliver(by, by.forger.seal(ATTIC, update, { mesh: 'cd'.repeat(32) as MeshId }))
  },
  async writesAnothersMachine(by) {
    const [victim] = by.victims()
    if (!victim) return
    const doc = by.prng.chance(0.5) ? machineDoc(victim) : liveDoc(victim, by.prng.int(1, 9))
    await deliver(by, by.forger.seal(doc, own(by, doc)))
  },
  async writesAccounts(by) {
    // Always the same bytes: two contents for one place would convict it.
    const update = foreign(by, by.forger.feed(accountsDoc).client, 'fixed')
    await deliver(by, by.forger.seal(accountsDoc, update))
  },
  async leavesAGap(by) {
    await deliver(by, far(by))
  },
  async floods(by) {
    const flood = Array.from({ length: FLOOD }, () => far(by))
    for (const { bytes } of flood) by.world.ledger.crafted(bytes, { kind: 'flood', mayPass: false })
    await by.send(
      by.victims(),
      flood.map(({ bytes }) => bytes),
    )
  },
  async dependsOnTheFuture(by) {
    const [victim] = by.victims()
    if (victim) await deliver(by, far(by, { deps: { [victim]: { seq: FAR, hash: new Uint8Array(32) } } }))
  },
  async writesAsOutsider(by) {
    const outsider = by.forger.as(simPeer(OUTSIDER))
    const doc = projectDoc(BRIEF)
    const update = outsider.change(doc, (state) => state.getMap('shared').set('outsider', by.prng.int(0, 1e6)))
    await deliver(by, outsider.seal(doc, update))
  },
  async forgesARecord(by) {
    const peer = by.prng.pick(by.world.nodes.slice(1)).peer
    const author = by.world.nodes[0]?.peer
    const { mesh, genesis } = by.forger
    const body = {
      v: 1,
      mesh,
      type: 'remove',
      peer,
      cuts: {},
      author,
      parents: [genesis],
      at: 1,
      sig: by.prng.bytes(64),
    }
    await by.say(by.victims(), {
      t: 'records',
      records: [encodeCanonical(body), by.prng.bytes(40)],
      last: by.prng.chance(0.5),
    })
  },
  async asksForEverything(by) {
    await by.say(by.victims(), { t: 'vectors', authors: [], docs: [], frozen: [], last: true, ask: true })
  },
  async claimsEverything(by) {
    const authors = by.world.nodes.map(({ peer }) => peer)
    const seen = authors.map((_, i): [number, number, Uint8Array] => [i, FAR, new Uint8Array(32)])
    const docs = [meshDoc, projectDoc(BRIEF)].map((doc): [DocId, [number, number, Uint8Array][]] => [doc, seen])
    await by.say(by.victims(), { t: 'vectors', authors, docs, frozen: authors, last: by.prng.chance(0.5), ask: false })
  },
}

/** What proves that its author does not follow the rules, or sets honest replicas against each other. */
const BRAZEN: Record<string, Attack> = {
  async writesAsAnothersClient(by) {
    const client = clientHeard(by)
    if (client !== undefined) await deliver(by, by.forger.seal(projectDoc(BRIEF), foreign(by, client)))
  },
  async collectsAnothers(by) {
    const client = clientHeard(by)
    if (client !== undefined) await deliver(by, by.forger.seal(projectDoc(BRIEF), collected(client, 0, 2)))
  },
  async skipsClocks(by) {
    const doc = projectDoc(BRIEF)
    const { client } = by.forger.feed(doc)
    const ahead = by.forger.clockOf(doc) + by.prng.int(1, 5)
    await deliver(by, by.forger.seal(doc, collected(client, ahead, 1)))
  },
  async marksAGap(by) {
    const doc = projectDoc(BRIEF)
    const skip = handMade(by.forger.feed(doc).client, by.forger.clockOf(doc), (out) => {
      writeVarUint(out, 10)
      writeVarUint(out, 3)
      return 1
    })
    await deliver(by, by.forger.seal(doc, skip))
  },
  async declaresTwice(by) {
    const doc = projectDoc(BRIEF)
    const { nonce, seq } = by.forger.feed(doc)
    if (seq > 0) await deliver(by, by.forger.seal(doc, own(by, doc), { nonce }))
  },
  /** Deletes structs of a client that nobody has ever heard of. */
  async refersToNothing(by) {
    const nothing = Uint8Array.from([0, 1, by.prng.int(1, 100), 1, 0, 5])
    await deliver(by, by.forger.seal(projectDoc(BRIEF), nothing))
  },
  async sendsNoUpdate(by) {
    await deliver(by, by.forger.seal(projectDoc(BRIEF), by.prng.chance(0.5) ? Uint8Array.of(0, 0) : by.prng.bytes(20)))
  },
  async poisonsAKey(by) {
    const doc = projectDoc(BRIEF)
    const { client } = by.forger.feed(doc)
    const copy = new Y.Doc()
    copy.clientID = client
    copy.getMap('shared').set('__proto__', 1)
    if (by.forger.clockOf(doc) === 0) await deliver(by, by.forger.seal(doc, Y.encodeStateAsUpdate(copy)))
  },
  async forks(by) {
    const doc = projectDoc(BRIEF)
    if (by.forger.feed(doc).seq > 0) await deliver(by, by.forger.seal(doc, own(by, doc), { prev: by.prng.bytes(32) }))
  },
  async equivocates(by) {
    const doc = by.prng.pick([projectDoc(BRIEF), meshDoc])
    const update = own(by, doc)
    const [one, other] = [by.forger.seal(doc, update), by.forger.seal(doc, update, { at: 5 })]
    for (const { bytes } of [one, other]) by.world.ledger.crafted(bytes, { kind: 'equivocation', mayPass: true })
    by.forger.advance(one)
    await by.send(by.victims(), [one.bytes])
    await by.send(by.victims(), [other.bytes])
  },
  /** To the right of one struct and to the left of another, which never were neighbours. */
  async contradictsItself(by) {
    const doc = projectDoc(BRIEF)
    const [left, right] = [structHeard(by), structHeard(by)]
    if (!left || !right || Y.compareIDs(left, right)) return
    const { client, seq } = by.forger.feed(doc)
    if (seq > 0) return // its own scratch document would know nothing of the struct
    const torn = handMade(client, 0, (out) => {
      writeUint8(out, 8 | 128 | 64)
      for (const value of [left.client, left.clock, right.client, right.clock, 1]) writeVarUint(out, value)
      writeVarUint(out, 126)
      return 1
    })
    const envelope = by.forger.seal(doc, torn)
    by.world.ledger.crafted(envelope.bytes, { kind: 'contradiction', mayPass: true })
    by.forger.advance(envelope)
    const { scratch } = by.forger.feed(doc)
    scratch.clientID = client + 1 // Yjs takes another one itself, and says so, when its own comes from elsewhere
    Y.applyUpdate(scratch, collected(client, 0, 1))
    scratch.clientID = client
    await by.send(by.victims(), [envelope.bytes])
  },
  async claimsADifference(by) {
    const [first] = by.world.nodes
    const at = by.world.nodes.map(({ peer }): [typeof peer, number] => [peer, first?.headOf(meshDoc, peer) ?? 0])
    const known = at.filter(([, seq]) => seq > 0)
    await by.say(by.victims(), { t: 'hash', doc: meshDoc, at: known, hash: by.prng.bytes(32) })
  },
}

/** What its program would have written as well, for the others to have something of it. */
export async function writesWell(by: Hostile): Promise<void> {
  await deliver(by, wellWritten(by), true)
}

/** Two histories of its feed, each told to some, for them to build upon before they hear of the other. */
export async function writesTwoHistories(by: Hostile): Promise<void> {
  const doc = by.prng.pick([projectDoc(BRIEF), meshDoc])
  const { scratch, client } = by.forger.feed(doc)
  const [one, other] = [historyOf(by, doc), historyOf(by, doc)]
  for (const { bytes } of [...one.envelopes, ...other.envelopes])
    by.world.ledger.crafted(bytes, { kind: 'a history of two', mayPass: true })
  scratch.clientID = client + 1 // Yjs takes another one itself, and says so, when its own comes from elsewhere
  Y.applyUpdate(scratch, Y.encodeStateAsUpdate(one.state))
  scratch.clientID = client
  for (const envelope of one.envelopes) by.forger.advance(envelope)
  const first = new Set(by.victims())
  const others = by.world.nodes.map(({ peer }) => peer).filter((peer) => !first.has(peer))
  await by.send(
    [...first],
    one.envelopes.map(({ bytes }) => bytes),
  )
  await by.send(
    others,
    other.envelopes.map(({ bytes }) => bytes),
  )
}

function historyOf(by: Hostile, doc: DocId): { readonly envelopes: readonly Envelope[]; readonly state: Y.Doc } {
  const { client, scratch, ...feed } = by.forger.feed(doc)
  const state = new Y.Doc()
  Y.applyUpdate(state, Y.encodeStateAsUpdate(scratch))
  state.clientID = client
  const envelopes: Envelope[] = []
  let { seq, prev } = feed
  for (let left = by.prng.int(1, 4); left > 0; left--) {
    const before = Y.encodeStateVector(state)
    state.transact(() => {
      state.getMap('shared').set(`k${by.prng.int(0, 6)}`, new Y.Map([['history', by.prng.int(0, 1e6)]]))
      state.getText('notes').insert(0, by.prng.chance(0.5) ? 'one' : 'another')
      if (by.prng.chance(0.3)) state.getText('notes').delete(0, 1)
    })
    const update = Y.encodeStateAsUpdate(state, before)
    const envelope = by.forger.seal(doc, update, { seq: seq + 1, prev, ...(seq > 0 && { nonce: undefined }) })
    envelopes.push(envelope)
    seq = envelope.seq
    prev = envelope.hash
  }
  return { envelopes, state }
}

export const attacksOf = (temper: Temper): readonly Attack[] =>
  Object.values(temper === 'sly' ? SLY : { ...SLY, ...BRAZEN })

async function deliver(by: Hostile, envelope: Envelope, mayPass = false): Promise<void> {
  await deliverBytes(by, envelope.bytes, `${envelope.doc} ${envelope.seq}`, mayPass)
}

async function deliverBytes(by: Hostile, bytes: Uint8Array, kind: string, mayPass = false): Promise<void> {
  by.world.ledger.crafted(bytes, { kind, mayPass })
  await by.send(by.victims(), [bytes])
}

function wellWritten(by: Hostile): Envelope {
  const doc = by.prng.pick([projectDoc(BRIEF), projectDoc(BRIEF), meshDoc, machineDoc(by.peer)])
  const update = by.forger.change(doc, (state) => {
    state.getMap('shared').set(`k${by.prng.int(0, 6)}`, by.prng.int(0, 1e6))
    state.getText('notes').insert(0, 'h')
  })
  const envelope = by.forger.seal(doc, update)
  by.forger.advance(envelope)
  return envelope
}

/** A sound update that its feed does not advance for. */
function own(by: Hostile, doc: DocId): Uint8Array {
  const { client, scratch } = by.forger.feed(doc)
  const copy = new Y.Doc()
  Y.applyUpdate(copy, Y.encodeStateAsUpdate(scratch))
  copy.clientID = client
  const before = Y.encodeStateVector(copy)
  copy.getMap('shared').set('own', by.prng.int(0, 1e6))
  return Y.encodeStateAsUpdate(copy, before)
}

const far = (by: Hostile, parts: Partial<EnvelopeBody> = {}): Envelope =>
  by.forger.seal(ATTIC, own(by, ATTIC), {
    seq: FAR + by.prng.int(0, 1e9),
    prev: by.prng.bytes(32),
    nonce: undefined,
    ...parts,
  })

function foreign(by: Hostile, client: number, value: unknown = by.prng.int(0, 1e6)): Uint8Array {
  const copy = new Y.Doc()
  copy.clientID = client
  copy.getMap('shared').set('foreign', value)
  return Y.encodeStateAsUpdate(copy)
}

const structHeard = (by: Hostile): Y.ID | undefined => {
  const heard = by.heard.filter(({ doc }) => doc === projectDoc(BRIEF))
  if (heard.length === 0) return undefined
  const structs = structsIn(by.prng.pick(heard).update)
  return structs.length > 0 ? by.prng.pick(structs).id : undefined
}

/** None in what another hostile member has torn. */
function structsIn(update: Uint8Array): readonly { readonly id: Y.ID }[] {
  try {
    return Y.decodeUpdate(update).structs
  } catch {
    return []
  }
}

const clientHeard = (by: Hostile): number | undefined => structHeard(by)?.client
