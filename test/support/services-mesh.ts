import nacl from 'tweetnacl'
import * as Y from 'yjs'
import type { z } from 'zod'
import type { Actor } from '../../crdt/actor.ts'
import type { Capability } from '../../crdt/capability.ts'
import type { DomainEvent } from '../../crdt/domain-event.ts'
import { domainError } from '../../crdt/errors.ts'
import { MeshId, type DocId, type PeerId } from '../../crdt/ids.ts'
import { err, ok } from '../../crdt/result.ts'
import type { PasswordHasher } from '../../node/ports/password-hasher.ts'
import {
  StorageError,
  type DocumentChange,
  type Documents,
  type FeedPosition,
  type Follower,
} from '../../node/services/feeds/documents.ts'
import { createEventHub } from '../../node/services/event-hub.ts'
import type { HeldLease, LeaseRefusal, LeaseService } from '../../node/services/leases/lease-service.ts'
import type { Presence, PresenceState } from '../../node/services/sync/presence.ts'
import type { Rpc, RpcMethod } from '../../node/services/rpc/rpc.ts'
import { toHex } from '../../protocols/codec.ts'
import type { FeedCut, Member, Membership } from '../../protocols/membership/membership.ts'
import { createManualClock, settle } from './clock.ts'
import { createSeededRandom, crypto, identity } from './identity.ts'
import { createRecordedLog } from './log.ts'

export const ALL_CAPABILITIES: readonly Capability[] = ['admin', 'admit', 'gateway', 'control', 'run', 'vote', 'store']

/**
 * Several nodes' documents, membership, leases, calls and presence in one process: what the services stand on, under
 * the test's control. Updates travel at once between connected nodes, and when they are connected again.
 */
export class SimMesh {
  readonly clock = createManualClock()
  readonly nodes: SimNode[] = []
  readonly leases = new SimLeases(this)
  /** Every byte that was written or sent. */
  readonly bytes: Uint8Array[] = []
  #membership: Membership | undefined
  readonly #removed = new Map<PeerId, ReadonlyMap<DocId, FeedCut>>()

  add(n: number, capabilities: readonly Capability[] = ALL_CAPABILITIES): SimNode {
    const node = new SimNode(this, n, capabilities)
    for (const [doc, state] of this.nodes[0]?.docs ?? []) Y.applyUpdate(node.doc(doc), Y.encodeStateAsUpdate(state))
    this.nodes.push(node)
    this.#membershipChanged()
    return node
  }

  remove(node: SimNode, cuts: ReadonlyMap<DocId, FeedCut> = new Map()): void {
    this.nodes.splice(this.nodes.indexOf(node), 1)
    this.#removed.set(node.peer, cuts)
    this.#membershipChanged()
  }

  membership(): Membership {
    return (this.#membership ??= this.#resolve())
  }

  #resolve(): Membership {
    const members = new Map(this.nodes.map((node) => [node.peer, node.member]))
    return {
      mesh: MeshId.parse('a'.repeat(64)),
      founder: identity(1).peer,
      members,
      removed: new Map(this.#removed),
      invites: new Map(),
      leaseConfig: undefined,
      voterSets: [],
      voterFaults: [],
      recoveryKeys: [],
      voided: new Set(),
      heads: [],
    }
  }

  /** Gives every connected node what it lacks. */
  connect(): void {
    for (const node of this.nodes) node.isCut = false
    for (const from of this.nodes)
      for (const to of this.nodes)
        for (const [doc, state] of from.docs)
          if (from !== to) to.receive(doc, from.peer, Y.encodeStateAsUpdate(state, Y.encodeStateVector(to.doc(doc))))
  }

  send(from: SimNode, doc: DocId, update: Uint8Array): void {
    this.bytes.push(update)
    for (const to of this.nodes) if (to !== from && !to.isCut && !from.isCut) to.receive(doc, from.peer, update)
  }

  /** True when the text occurs in anything that was written or sent, in any usual encoding of it. */
  hasWritten(text: string): boolean {
    const needles = [text, toHex(Buffer.from(text)), Buffer.from(text).toString('base64').replace(/=+$/, '')]
    return this.bytes.some((bytes) => needles.some((needle) => Buffer.from(bytes).includes(needle)))
  }

  #membershipChanged(): void {
    this.#membership = undefined
    for (const node of this.nodes) for (const listener of node.membershipListeners) listener()
  }
}

export class SimNode {
  readonly mesh: SimMesh
  readonly peer: PeerId
  readonly member: Member
  readonly boxSecretKey: Uint8Array
  readonly random
  readonly log = createRecordedLog()
  readonly events = createEventHub(this.log)
  readonly told: DomainEvent[] = []
  readonly docs = new Map<DocId, Y.Doc>()
  readonly membershipListeners = new Set<() => void>()
  readonly presenceOf = new Map<PeerId, PresenceState>()
  readonly presenceListeners = new Set<(peer: PeerId) => void>()
  readonly methods = new Map<string, RpcMethod<z.ZodType, unknown>>()
  isCut = false
  isOffline = false
  diskFails = false
  readonly #listeners = new Map<DocId, Set<(change: DocumentChange, state: Y.Doc) => void>>()
  readonly #followers = new Set<Follower<unknown>>()
  #seq = 0

  constructor(mesh: SimMesh, n: number, capabilities: readonly Capability[]) {
    const box = nacl.box.keyPair.fromSecretKey(crypto.sha256(new TextEncoder().encode(`box ${n}`)))
    this.mesh = mesh
    this.peer = identity(n).peer
    this.boxSecretKey = box.secretKey
    this.random = createSeededRandom(n)
    this.member = {
      peer: this.peer,
      name: `node-${n}`,
      boxKey: box.publicKey,
      capabilities: new Set(capabilities),
      seniority: n,
    }
    this.events.subscribe((event) => this.told.push(event))
  }

  doc(id: DocId): Y.Doc {
    const known = this.docs.get(id)
    if (known) return known
    const doc = new Y.Doc()
    this.docs.set(id, doc)
    for (const follower of this.#followers) if (isOf(follower, id)) follower.loaded(id, doc)
    return doc
  }

  receive(doc: DocId, author: PeerId, update: Uint8Array): void {
    Y.applyUpdate(this.doc(doc), update)
    this.#changed({ doc, author, local: false })
  }

  get membership() {
    return {
      current: () => this.mesh.membership(),
      onChange: (listener: () => void) => {
        this.membershipListeners.add(listener)
        return () => this.membershipListeners.delete(listener)
      },
    }
  }

  get documents(): Documents {
    return {
      read: async (doc, project) => project(this.doc(doc)),
      readOpen: (doc, project) => {
        if (!this.#listeners.has(doc)) throw new Error(`${doc} is not open`)
        return project(this.doc(doc))
      },
      write: (doc, _actor, change) => this.#write(doc, change),
      open: async (doc, onChange = () => undefined) => {
        const listeners = this.#listeners.get(doc) ?? new Set()
        this.#listeners.set(doc, listeners.add(onChange))
        return () => listeners.delete(onChange)
      },
      reached: async () => true,
      list: () => [...this.docs.keys()],
      heads: () => new Map(),
      authorOf: (doc, client) => this.mesh.nodes.find(({ docs }) => docs.get(doc)?.clientID === client)?.peer,
      onChange: () => () => undefined,
      onDocument: () => () => undefined,
      // All of it is in memory, always.
      follow: async (follower) => {
        const told = follower as Follower<unknown>
        this.#followers.add(told)
        for (const [doc, state] of this.docs) if (isOf(told, doc)) told.loaded(doc, state)
        return { caughtUp: Promise.resolve() }
      },
      named: async () => [],
    }
  }

  get presence(): Presence {
    return {
      state: (peer) => this.presenceOf.get(peer) ?? 'gone',
      lastSeenWallMs: (peer) => (this.presenceOf.get(peer) === 'online' ? this.mesh.clock.wallMs() : undefined),
      rttMs: () => undefined,
      lastRenewedMonoMs: () => undefined,
      onChange: (listener) => {
        this.presenceListeners.add(listener)
        return () => this.presenceListeners.delete(listener)
      },
    }
  }

  sees(peer: PeerId, state: PresenceState): void {
    this.presenceOf.set(peer, state)
    for (const listener of this.presenceListeners) listener(peer)
  }

  /** Calls with everything as JSON, as the wire has it. */
  get rpc(): Rpc {
    return {
      serve: (method) => void this.methods.set(method.name, method),
      call: async (peer, name, { actor, input, reply }) => {
        const target = this.mesh.nodes.find((node) => node.peer === peer)
        if (!target || target.isOffline) return err(domainError('machine_offline'))
        const method = target.methods.get(name)
        if (!method) throw new Error(`${name} is not served`)
        const parsed = method.input.safeParse(JSON.parse(JSON.stringify(input)))
        if (!parsed.success) return err(domainError('invalid_input'))
        const answer = await method.run(actor, parsed.data, this.peer, new AbortController().signal)
        return answer.ok ? ok(reply.parse(JSON.parse(JSON.stringify(answer.value)))) : answer
      },
    }
  }

  async #write<T>(doc: DocId, change: (state: Y.Doc) => T): Promise<{ value: T; position: FeedPosition }> {
    const state = this.doc(doc)
    const before = Y.encodeStateAsUpdate(state)
    const vector = Y.encodeStateVector(state)
    const updates: Uint8Array[] = []
    const keep = (update: Uint8Array): void => void updates.push(update)
    state.on('update', keep)
    const value = state.transact(() => change(state))
    state.off('update', keep)
    await new Promise((resolve) => setImmediate(resolve))
    if (this.diskFails) {
      const rebuilt = new Y.Doc()
      Y.applyUpdate(rebuilt, before)
      this.docs.set(doc, rebuilt)
      throw new StorageError('the disk refuses')
    }
    if (updates.length > 0) {
      this.mesh.send(this, doc, Y.encodeStateAsUpdate(this.doc(doc), vector))
      this.#changed({ doc, author: this.peer, local: true })
    }
    return { value, position: { doc, author: this.peer, seq: ++this.#seq } }
  }

  #changed(change: DocumentChange): void {
    for (const listener of this.#listeners.get(change.doc) ?? []) listener(change, this.doc(change.doc))
    for (const follower of this.#followers)
      if (isOf(follower, change.doc)) follower.changed(change, this.doc(change.doc))
  }
}

const isOf = ({ kind }: Follower<unknown>, doc: DocId): boolean => doc.split('/', 1)[0] === kind

/** Leases that are granted, made to wait or denied as told; never two on one name. */
export class SimLeases {
  /** The answer to every request while it is set. */
  refusal: LeaseRefusal | undefined
  readonly granted: string[][] = []
  readonly #mesh: SimMesh
  readonly #held = new Map<string, string>()
  readonly #waiting: (() => void)[] = []
  #next = 1

  constructor(mesh: SimMesh) {
    this.#mesh = mesh
  }

  of(node: SimNode): LeaseService {
    return {
      acquire: async ({ resources, waitMs, owner }) => {
        const keys = resources.map(({ key }) => key)
        for (;;) {
          await settle()
          if (this.refusal) return err(this.refusal)
          if (node.isCut) return err({ why: 'no_quorum', missing: this.#mesh.nodes.map(({ peer }) => peer) })
          if (!keys.some((key) => this.#held.has(key))) break
          if (waitMs === 0)
            return err({ why: 'held', by: { instanceId: 'other', untilMs: 0 }, owner, leaseId: 'other' })
          await new Promise<void>((resolve) => this.#waiting.push(resolve))
        }
        const leaseId = String(this.#next++)
        for (const key of keys) this.#held.set(key, leaseId)
        this.granted.push(keys)
        return ok(held(leaseId))
      },
      isValid: (leaseId) => [...this.#held.values()].includes(leaseId),
      find: () => undefined,
      release: async (leaseId) => {
        for (const [key, holder] of this.#held) if (holder === leaseId) this.#held.delete(key)
        for (const wake of this.#waiting.splice(0)) wake()
      },
      settled: async () => undefined,
      extend: () => true,
      onEnd: () => () => undefined,
      held: () => [],
      resume: async () => false,
      discard: () => undefined,
      verified: () => undefined,
      voters: () => [],
    }
  }

  /** Takes every lease away from its holder, as an expiry would. */
  expireAll(): void {
    this.#held.clear()
  }

  /** How many are held now: after a use none must be left. */
  get heldCount(): number {
    return this.#held.size
  }
}

const held = (leaseId: string): HeldLease =>
  ({ leaseId, resources: [], fencingToken: 1, after: [] }) as unknown as HeldLease

/** A fast, salted stand-in that counts how many run at once. */
export function createSimHasher(): PasswordHasher & { readonly most: () => number; readonly calls: () => number } {
  let running = 0
  let most = 0
  let calls = 0
  const slowly = async <T>(work: () => T): Promise<T> => {
    calls++
    most = Math.max(most, ++running)
    await new Promise((resolve) => setImmediate(resolve))
    running--
    return work()
  }
  const stretched = (password: string): string =>
    `sim$${toHex(crypto.sha256(new TextEncoder().encode(`salt ${password}`)))}`
  return {
    hash: (password) => slowly(() => stretched(password)),
    verify: (hash, password) => slowly(() => hash === stretched(password)),
    most: () => most,
    calls: () => calls,
  }
}

/** Whoever may open the control socket of a node. */
export const localActor = (node: SimNode, abilities: readonly string[] = ['*']): Actor => ({
  kind: 'local',
  id: 'local',
  tokenId: `local:${node.peer}`,
  abilities: [...abilities],
  gateway: node.peer,
})

export { settle }
