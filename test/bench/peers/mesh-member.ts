import { basename } from 'node:path'
import type { Actor } from '../../../crdt/actor.ts'
import type { TaskId } from '../../../crdt/ids.ts'
import type { Result } from '../../../crdt/result.ts'
import { createPinoLog } from '../../../node/adapters/pino-log.ts'
import { Config } from '../../../node/cli/config.ts'
import { runNode } from '../../../node/cli/run-node.ts'
import { answerCalls } from '../calls.ts'
import { heapBytes } from '../heap.ts'
import { sampleTask } from '../sample-task.ts'
import { nowMicros, ratePerSecond } from '../statistics.ts'
import { finalText, isFinal, sentAt, stampedText } from '../stamps.ts'

const [dataDir = ''] = process.argv.slice(2)
const config = Config.parse({
  name: basename(dataDir),
  gateway: false,
  p2p: { listen: ['/ip4/127.0.0.1/tcp/0'], mdns: false },
})
const node = await runNode(dataDir, config, createPinoLog('error'))
const services = () => node.mesh().services
const leases = () => node.mesh().core.leases

const actor = (): Actor => {
  const { self } = node.mesh().core
  return { kind: 'local', id: 'local', tokenId: `local:${self}`, abilities: ['*'], gateway: self }
}

const arrivals: number[] = []
let final = Promise.withResolvers<number>()

let nextLease = 0
const freshKey = (): string => `bench-${process.pid}-${nextLease++}`
const HOLD_MS = 600_000

/** Resolves with what gives it back. */
async function takeLease(key: string, owner: string, waitMs: number): Promise<() => Promise<void>> {
  const lease = await leases().acquire({
    resources: [{ kind: 'name', key, mode: 'exact' }],
    owner,
    info: { instanceId: owner, untilMs: Date.now() + HOLD_MS },
    holdUntilMs: Date.now() + HOLD_MS,
    waitMs,
  })
  if (!lease.ok) throw new Error(`a claim was refused: ${JSON.stringify(lease.error)}`)
  return async () => await leases().release(lease.value.leaseId)
}

async function timed(count: number, task: () => Promise<Result<unknown>>): Promise<number[]> {
  const took: number[] = []
  for (let i = 0; i < count; i++) {
    const began = nowMicros()
    must(await task())
    took.push(nowMicros() - began)
  }
  return took
}

async function takeAndGiveBack(): Promise<void> {
  const giveBack = await takeLease(freshKey(), 'bench', 0)
  await giveBack()
}

/** Node, leases and documents as the product wires them, without the gateway. */
const calls = {
  async ticket() {
    return must(await services().mesh.invite({})).ticket
  },
  async join(ticket: string) {
    must(await node.join(ticket))
  },
  peer: () => node.mesh().core.self,
  isConnectedTo: (peers: readonly string[]) =>
    services()
      .mesh.members()
      .filter(({ online }) => online)
      .filter(({ peerId }) => peers.includes(peerId)).length === peers.length,
  async addProject(path: string) {
    return must(await services().projects.create(actor(), services().machines.self, { projectPath: path })).id
  },
  /** `inFlight` 1: every task in an envelope of its own. */
  async addTasks({ project, count, inFlight }: { project: string; count: number; inFlight: number }) {
    const ids: TaskId[] = []
    await ratePerSecond(count, inFlight, async (index) => {
      ids.push(must(await services().tasks.create(actor(), project, sampleTask(index))).id)
    })
    return ids
  },
  async countTasks(project: string) {
    const page = await services().tasks.list(project, {}, { page: 1, perPage: 1 })
    return page.ok ? page.value.total : 0
  },
  /** Microseconds that each of so many updates of one task takes until it is durable. */
  async timeUpdates({ project, count }: { project: string; count: number }) {
    const page = must(await services().tasks.list(project, {}, { page: 1, perPage: 1 }))
    const [task] = page.items
    return await timed(count, () => services().tasks.update(actor(), task?.id ?? '', { description: stampedText() }))
  },
  /** The same of a page from the middle of the list of what is to be done. */
  async timePages({ project, count }: { project: string; count: number }) {
    const filter = { status: 'pending', priority: 'medium' } as const
    const { total } = must(await services().tasks.list(project, filter, { page: 1, perPage: 1 }))
    const page = { page: Math.ceil(total / 100), perPage: 50 }
    return await timed(count, () => services().tasks.list(project, filter, page))
  },
  countProjects: async () => (await services().projects.all()).length,
  /** Microseconds until a page of them can be shown, when they are not in memory, and what they take there. */
  async loadTasks(project: string) {
    const heapBefore = heapBytes()
    const began = nowMicros()
    must(await services().tasks.list(project, {}, { page: 1, perPage: 50 }))
    const micros = nowMicros() - began
    return { micros, bytes: heapBytes() - heapBefore }
  },
  memoryBytes: () => process.memoryUsage.rss(),
  /** Joins and resolves, with the microseconds it took, when so many tasks of some project are listed. */
  async joinAndList({ ticket, count }: { ticket: string; count: number }) {
    const began = nowMicros()
    must(await node.join(ticket))
    for (;;) {
      const [project] = await services().projects.all()
      if (project && (await calls.countTasks(project.id)) === count) return nowMicros() - began
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
  },

  watchUpdates() {
    services().events.subscribe((event) => {
      if (event.type !== 'task.updated') return
      if (isFinal(event.task.description)) final.resolve(nowMicros())
      else arrivals.push(nowMicros() - sentAt(event.task.description))
    })
  },
  /** Microseconds from the call of each update to its event here, in the order in which they came. */
  countArrivals: () => arrivals.length,
  takeArrivals: () => arrivals.splice(0),
  async finalArrived() {
    const at = await final.promise
    final = Promise.withResolvers<number>()
    return at
  },
  /** One after the other, with a pause so that none meets the one before. */
  async sendUpdates({ task, count, pauseMs }: { task: string; count: number; pauseMs: number }) {
    for (let i = 0; i < count; i++) {
      must(await services().tasks.update(actor(), task, { description: stampedText() }))
      await new Promise((resolve) => setTimeout(resolve, pauseMs))
    }
  },
  /** As many as it can with so many under way, then the final one. Returns when the first was sent. */
  async floodUpdates({ tasks, count, inFlight }: { tasks: readonly string[]; count: number; inFlight: number }) {
    const began = nowMicros()
    await ratePerSecond(count, inFlight, async (index) => {
      must(await services().tasks.update(actor(), tasks[index % tasks.length] ?? '', { description: stampedText() }))
    })
    must(await services().tasks.update(actor(), tasks[0] ?? '', { description: finalText() }))
    return began
  },

  /** Lets exactly these vote. */
  async letVote(members: readonly string[]) {
    return must(await leases().changes.set({ members })).epoch
  },
  epoch: () => leases().changes.view().epoch,
  /** Durations of the acquisitions alone; each is given back before the next. */
  async leaseEach(count: number) {
    const durations: number[] = []
    for (let i = 0; i < count; i++) {
      const began = nowMicros()
      const giveBack = await takeLease(freshKey(), 'bench', 0)
      durations.push(nowMicros() - began)
      await giveBack()
    }
    return durations
  },
  leaseRate: ({ count, inFlight }: { count: number; inFlight: number }) =>
    ratePerSecond(count, inFlight, takeAndGiveBack),
  /** Fights for one lease with so many at once; resolves with how often each got it until the time was over. */
  async contend({ key, contenders, forMs }: { key: string; contenders: number; forMs: number }) {
    const end = performance.now() + forMs
    let won = 0
    const contend = async (_: unknown, index: number): Promise<void> => {
      while (performance.now() < end) {
        const giveBack = await takeLease(key, `bench-${index}`, HOLD_MS)
        won += 1
        await giveBack()
      }
    }
    await Promise.all(Array.from({ length: contenders }).map(contend))
    return won
  },
}
export type MeshMemberCalls = typeof calls

function must<T>(result: Result<T>): T {
  if (!result.ok) throw new Error(`${result.error.code}: ${result.error.message}`)
  return result.value
}

answerCalls(calls, () => node.stop())
