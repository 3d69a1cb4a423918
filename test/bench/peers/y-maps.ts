import { Level } from 'level'
import * as Y from 'yjs'
import { answerCalls } from '../calls.ts'
import { heapBytes } from '../heap.ts'
import { sampleTask } from '../sample-task.ts'
import { nowMicros } from '../statistics.ts'

const [dir = ''] = process.argv.slice(2)
/** Rows written at once. */
const BATCH = 1000

const keyOf = (index: number): string => String(index).padStart(10, '0')

/** Tasks as people usually keep them with Yjs: a map of maps, every update stored, all of them replayed at the start. */
const calls = {
  async fill(count: number) {
    const db = new Level<string, Uint8Array>(dir, { valueEncoding: 'view' })
    const doc = new Y.Doc()
    let rows: { type: 'put'; key: string; value: Uint8Array }[] = []
    let stored = 0
    doc.on('update', (value: Uint8Array) => void rows.push({ type: 'put', key: keyOf(stored++), value }))
    const tasks = doc.getMap('tasks')
    for (let index = 0; index < count; index++) {
      const task = { ...sampleTask(index), created_at: new Date().toISOString(), created_by: 'local' }
      doc.transact(() => tasks.set(crypto.randomUUID(), new Y.Map<unknown>(Object.entries(task))))
      if (rows.length < BATCH) continue
      await db.batch(rows)
      rows = []
    }
    await db.batch(rows)
    await db.close()
  },
  /** Microseconds until all are there, and what they take. */
  async load() {
    const db = new Level<string, Uint8Array>(dir, { valueEncoding: 'view' })
    await db.open()
    const heapBefore = heapBytes()
    const began = nowMicros()
    const doc = new Y.Doc()
    for await (const update of db.values()) Y.applyUpdate(doc, update)
    const { size } = doc.getMap('tasks')
    const micros = nowMicros() - began
    const bytes = heapBytes() - heapBefore
    await db.close()
    return { size, micros, bytes }
  },
}
export type YMapsCalls = typeof calls

answerCalls(calls)
