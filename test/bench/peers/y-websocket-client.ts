import { WebSocket } from 'ws'
import { WebsocketProvider } from 'y-websocket'
import * as Y from 'yjs'
import { TaskId } from '../../../crdt/ids.ts'
import { addTask, editTask, taskBodies, taskEdits } from '../../../crdt/task-document.ts'
import { answerCalls } from '../calls.ts'
import { sampleTask } from '../sample-task.ts'
import { nowMicros } from '../statistics.ts'
import { finalText, isFinal, sentAt, stampedText } from '../stamps.ts'

const [url = ''] = process.argv.slice(2)

/** Updates written before the event loop may send and receive. */
const PER_TURN = 64
/** More than this in the socket's buffer, and the writer waits. */
const BUFFERED_BYTES_MAX = 1024 * 1024

let doc = new Y.Doc()
let provider: WebsocketProvider | undefined
const arrivals: number[] = []
let final = Promise.withResolvers<number>()

function open(room: string): void {
  provider?.destroy()
  doc = new Y.Doc()
  provider = new WebsocketProvider(url, room, doc, {
    // The types want a browser's WebSocket; `ws` has what the provider uses.
    WebSocketPolyfill: WebSocket as unknown as typeof globalThis.WebSocket,
    disableBc: true,
  })
}

async function synced(): Promise<void> {
  const { synced: isSynced } = provider ?? {}
  if (!isSynced) await new Promise<void>((resolve) => provider?.once('sync', () => resolve()))
}

const newTask = (): TaskId => TaskId.parse(crypto.randomUUID())
const bufferedBytes = (): number => provider?.ws?.bufferedAmount ?? 0
const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

/** The same document layout and the same edits as Rookery's, without signatures and without a disk. */
const calls = {
  async enter(room: string) {
    open(room)
    await synced()
  },
  addTasks(count: number) {
    const ids = Array.from({ length: count }, newTask)
    for (const [index, id] of ids.entries())
      addTask(doc, id, { ...sampleTask(index), created_at: new Date().toISOString(), created_by: 'local' })
    return ids
  },
  /** The same with many tasks per update. */
  addTasksTogether({ count, perUpdate }: { count: number; perUpdate: number }) {
    for (let first = 0; first < count; first += perUpdate)
      doc.transact(() => void calls.addTasks(Math.min(perUpdate, count - first)))
  },
  countTasks: () => taskBodies(doc).size,
  /** Resolves, with the microseconds it took, when a fresh client of the room has so many tasks. */
  async enterAndList({ room, count }: { room: string; count: number }) {
    const began = nowMicros()
    open(room)
    await synced()
    while (taskBodies(doc).size < count) await nextTurn()
    return nowMicros() - began
  },

  watchUpdates() {
    taskEdits(doc).observe((event, { local }) => {
      if (local) return
      for (const key of event.keysChanged) {
        const text = taskEdits(doc).get(key)
        if (typeof text !== 'string') continue
        if (isFinal(text)) final.resolve(nowMicros())
        else arrivals.push(nowMicros() - sentAt(text))
      }
    })
  },
  countArrivals: () => arrivals.length,
  takeArrivals: () => arrivals.splice(0),
  async finalArrived() {
    const at = await final.promise
    final = Promise.withResolvers<number>()
    return at
  },
  async sendUpdates({ task, count, pauseMs }: { task: TaskId; count: number; pauseMs: number }) {
    for (let i = 0; i < count; i++) {
      editTask(doc, task, { description: stampedText() })
      await new Promise((resolve) => setTimeout(resolve, pauseMs))
    }
  },
  async floodUpdates({ tasks, count }: { tasks: readonly TaskId[]; count: number }) {
    const began = nowMicros()
    for (let i = 0; i < count; i++) {
      const task = tasks[i % tasks.length]
      if (task) editTask(doc, task, { description: stampedText() })
      if (i % PER_TURN !== PER_TURN - 1) continue
      await nextTurn()
      while (bufferedBytes() > BUFFERED_BYTES_MAX) await nextTurn()
    }
    const [first] = tasks
    if (first) editTask(doc, first, { description: finalText() })
    return began
  },
}
export type YWebsocketClientCalls = typeof calls

answerCalls(calls, () => provider?.destroy())
