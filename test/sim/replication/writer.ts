import * as Y from 'yjs'
import type { Actor } from '../../../crdt/actor.ts'
import { accountsDoc, machineDoc, meshDoc, projectDoc, ProjectId, type DocId } from '../../../crdt/ids.ts'
import { sealedRecords } from '../../../crdt/account-document.ts'
import { writeBridged } from '../../../crdt/mesh-document.ts'
import { writeProjectFields } from '../../../crdt/project-document.ts'
import { TaskInput } from '../../../crdt/task.ts'
import { uuidFromRandom } from '../../../crdt/uuid.ts'
import { NotWritableError, StorageError } from '../../../node/services/feeds/documents.ts'
import type { Prng } from '../ports/prng.ts'
import type { Process } from './sim-node.ts'
import type { World } from './world.ts'

/** The board that the task service writes, and a project that nobody keeps open. */
export const BOARD = ProjectId.parse('00000000-0000-4000-8000-000000000001')
export const BRIEF = ProjectId.parse('00000000-0000-4000-8000-000000000002')

const BURST_MAX = 12
const LARGE_BYTES = 185 * 1024
const KEYS = 6
const LIVE_CERTIFICATE_BYTES = 1500

/** Somebody who works through one process, as long as it lives. */
export async function runWriter(world: World, process: Process, prng: Prng): Promise<void> {
  const writer = new Writer(world, process, prng)
  for (;;) {
    await new Promise<void>((resolve) => process.clock.after(prng.pause(world.plan.writers.thinkMs), resolve))
    if (world.isEnding) return
    const count = prng.chance(world.plan.writers.burstRate) ? prng.int(2, BURST_MAX) : 1
    // What is written in one tick shares envelopes.
    await Promise.all(Array.from({ length: count }, () => writer.writeOnce()))
  }
}

class Writer {
  readonly #world: World
  readonly #process: Process
  readonly #prng: Prng
  readonly #lockIds: string[] = []

  constructor(world: World, process: Process, prng: Prng) {
    this.#world = world
    this.#process = process
    this.#prng = prng
  }

  async writeOnce(): Promise<void> {
    const { counts, plan } = this.#world
    if (!this.#process.membership.current().members.has(this.#process.node.peer)) {
      counts.removedWrites += 1
      await this.#writeAsFormerMember()
      return
    }
    counts.writes += 1
    try {
      if (this.#prng.chance(plan.writers.failRate)) await this.#failHalfWay()
      else if (this.#prng.chance(plan.writers.largeRate)) await this.#writeMuch()
      else await this.#prng.pick(WORK)(this)
    } catch (error) {
      if (isRemoval(error)) return // between our look at the membership and the write
      if (this.#process.node.process !== this.#process) return // it is being stopped, or has ended
      if (!(error instanceof StorageError) || plan.store.refuseRate === 0) throw error
      counts.writesRefused += 1
    }
  }

  async createTask(): Promise<void> {
    const title = `task ${this.#prng.int(0, 1e6)}`
    const created = await this.#process.tasks.create(this.#actor(), BOARD, TaskInput.parse({ title }))
    const writer = this.#process.node
    if (created.ok)
      this.#world.tasks.push({ id: created.value.id, writer, seq: writer.headOf(projectDoc(BOARD), writer.peer) })
    else this.#refused(created.error.code)
  }

  async editTask(): Promise<void> {
    if (this.#world.tasks.length === 0) return await this.createTask()
    const { id } = this.#prng.pick(this.#world.tasks.slice(-KEYS))
    this.#world.edits.note(this.#process.node, projectDoc(BOARD), id)
    const field = this.#prng.pick(['title', 'description', 'priority', 'estimated_tokens'] as const)
    const change = {
      title: `renamed ${this.#prng.int(0, 1e6)}`,
      description: 'x'.repeat(this.#prng.int(0, 200)),
      priority: this.#prng.pick(['low', 'high'] as const),
      estimated_tokens: this.#prng.int(0, 1000),
    }
    const edited = await this.#process.tasks.update(this.#actor(), id, { [field]: change[field] })
    if (!edited.ok) this.#refused(edited.error.code)
  }

  async removeTask(): Promise<void> {
    if (this.#world.tasks.length < KEYS) return await this.createTask()
    const removed = await this.#process.tasks.remove(this.#actor(), this.#prng.pick(this.#world.tasks).id)
    if (!removed.ok) this.#refused(removed.error.code)
  }

  async writeBrief(): Promise<void> {
    const doc = projectDoc(BRIEF)
    const n = this.#prng.int(0, KEYS)
    this.#world.edits.note(this.#process.node, doc, 'brief')
    await this.#write(doc, (state) => {
      const text = state.getText('notes')
      const at = Math.min(text.length, this.#prng.int(0, 40))
      if (text.length > 60) text.delete(at, Math.min(text.length - at, this.#prng.int(1, 20)))
      else text.insert(at, `line ${n} `)
      writeProjectFields(state, { summary: `summary ${this.#prng.int(0, 1e6)}` })
    })
  }

  async writeContext(): Promise<void> {
    const id = `${this.#process.node.name}-${this.#prng.int(0, 3)}`
    this.#world.edits.note(this.#process.node, projectDoc(BRIEF), 'context')
    await this.#write(projectDoc(BRIEF), (state) => {
      const chunks = state.getMap<Y.Map<unknown>>('context')
      // Nested types are made by the creator of their id, and used by all.
      if (!chunks.has(id)) chunks.set(id, new Y.Map([['made', true]]))
      else if (this.#prng.chance(0.2)) chunks.delete(id)
      const known = [...chunks.keys()]
      const other = known.length > 0 ? chunks.get(this.#prng.pick(known)) : undefined
      other?.set(`k${this.#prng.int(0, 3)}`, this.#prng.int(0, 1000))
      const list = state.getArray<number>('recent')
      list.insert(this.#prng.int(0, list.length), [this.#prng.int(0, 1000)])
      if (list.length > 8) list.delete(this.#prng.int(0, list.length - 3), 2)
    })
  }

  async writeMesh(): Promise<void> {
    const id = uuidFromRandom(this.#prng.bytes(16))
    this.#world.edits.note(this.#process.node, meshDoc, 'shared')
    await this.#write(meshDoc, (state) => {
      if (this.#prng.chance(0.2)) writeBridged(state, id as never, BRIDGED)
      state.getMap('shared').set(`k${this.#prng.int(0, KEYS)}`, this.#prng.int(0, 1e6))
    })
  }

  async writeMachine(): Promise<void> {
    const { peer } = this.#process.node
    await this.#write(machineDoc(peer), (state) => state.getMap('facts').set('self', this.#prng.int(0, 1e6)))
  }

  async writeAccounts(): Promise<void> {
    await this.#write(accountsDoc, (state) =>
      sealedRecords(state).set(`r${this.#prng.int(0, KEYS)}`, this.#prng.bytes(this.#prng.int(10, 100))),
    )
  }

  async writeLive(): Promise<void> {
    const { live } = this.#process
    const held = this.#lockIds.length
    if (held > 3) {
      await live.drop(this.#lockIds.splice(0, held - 1))
      return
    }
    const id = `${Buffer.from(this.#prng.bytes(16)).toString('hex')}/0`
    this.#lockIds.push(id)
    const record = { ...LOCK, lease: id.slice(0, 32) } as never
    await live.put([{ id, record, certificate: this.#prng.bytes(LIVE_CERTIFICATE_BYTES) }])
  }

  async #write(doc: DocId, change: (state: Y.Doc) => unknown): Promise<void> {
    const { documents, node } = this.#process
    const actor = this.#prng.chance(0.5) ? this.#actor() : undefined
    const { position } = await documents.write(doc, actor, (state) => void change(state))
    this.#world.ledger.acknowledge(node, position)
  }

  /** The service lets nobody write who knows that it is removed. */
  async #writeAsFormerMember(): Promise<void> {
    const { documents, node } = this.#process
    try {
      await documents.write(meshDoc, undefined, (state) => void state.getMap('shared').set('removed', node.name))
      this.#world.violations.add('M7', `${node.name} writes although it knows of its removal`)
    } catch (error) {
      if (!isRemoval(error) && !(error instanceof StorageError)) throw error
    }
  }

  async #failHalfWay(): Promise<void> {
    this.#world.counts.failedChanges += 1
    const doc = this.#prng.pick([meshDoc, projectDoc(BRIEF), projectDoc(BOARD)])
    try {
      await this.#process.documents.write(doc, undefined, (state) => {
        state.getMap('shared').set('half', this.#prng.int(0, 1e6))
        throw new Half()
      })
      this.#world.violations.add('D7', 'a change that threw was acknowledged')
    } catch (error) {
      if (!(error instanceof Half)) throw error
    }
  }

  async #writeMuch(): Promise<void> {
    this.#world.counts.largeWrites += 1
    const size = LARGE_BYTES - this.#prng.int(0, 1000)
    await this.#write(projectDoc(BRIEF), (state) => state.getMap('large').set('one', new Uint8Array(size)))
  }

  #actor(): Actor {
    const { peer } = this.#process.node
    const id = this.#prng.pick(['ada', 'grace'])
    return { kind: 'user', id, tokenId: `token-${id}`, abilities: ['*'], gateway: peer }
  }

  /** Not known here (yet), gone, or a disk that refuses. */
  #refused(code: string): void {
    if (code === 'storage_failed') this.#world.counts.writesRefused += 1
    else if (code !== 'task_not_found' && code !== 'forbidden')
      this.#world.violations.add('tasks', `a task service answers ${code}`)
  }
}

const WORK: readonly ((writer: Writer) => Promise<void>)[] = [
  (w) => w.createTask(),
  (w) => w.editTask(),
  (w) => w.editTask(),
  (w) => w.removeTask(),
  (w) => w.writeBrief(),
  (w) => w.writeBrief(),
  (w) => w.writeContext(),
  (w) => w.writeContext(),
  (w) => w.writeMesh(),
  (w) => w.writeMesh(),
  (w) => w.writeMachine(),
  (w) => w.writeAccounts(),
  (w) => w.writeLive(),
  (w) => w.writeLive(),
]

class Half extends Error {}

const isRemoval = (error: unknown): boolean => error instanceof NotWritableError

const LOCK = {
  project: BOARD,
  key: 'k',
  path: 'a/b',
  instance: 'i',
  tokenId: 't',
  reason: null,
  lockedAt: '2026-01-01T00:00:00.000Z',
  expiresAt: '2026-01-01T00:00:00.000Z',
  token: 1,
}

const BRIDGED = {
  name: 'bridged',
  hostname: 'h',
  platform: 'p',
  arch: 'a',
  nodeVersion: '24',
  rookeryVersion: '0',
  claudeVersion: null,
  claudePath: null,
  agents: {},
  capabilities: [],
  maxSessions: 1,
  createdAt: '2026-01-01T00:00:00.000Z',
}
