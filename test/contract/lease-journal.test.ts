import { writeSync } from 'node:fs'
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { LeaseJournalError, openLeaseJournal } from '../../node/adapters/lease-journal.ts'
import { ProcessLockError } from '../../node/adapters/process-lock.ts'
import type { LeaseJournal } from '../../node/ports/lease-journal.ts'
import { createSimDisk } from '../support/lease-sim-journal.ts'
import { createRecordedLog } from '../support/log.ts'

let directory: string
let path: string
const toClose = new Set<LeaseJournal>()

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'rookery-journal-'))
  path = join(directory, 'lease.journal')
})

afterEach(async () => {
  for (const journal of toClose) await journal.close().catch(() => undefined)
  toClose.clear()
  await rm(directory, { recursive: true })
})

type Open = (options?: Partial<Parameters<typeof openLeaseJournal>[1]>) => Promise<LeaseJournal>

const openFile: Open = async (options = {}) => {
  const journal = await openLeaseJournal(path, { log: createRecordedLog(), onFailure: () => undefined, ...options })
  toClose.add(journal)
  return journal
}

const record = (n: number): Uint8Array => Uint8Array.of(n, n >> 8)
const close = async (journal: LeaseJournal): Promise<void> => {
  toClose.delete(journal)
  await journal.close()
}

/** A fresh disk, and what opens the journal on it again and again. */
const adapters: [string, () => { open: Open; breakDown: () => void }][] = [
  [
    'file',
    () => {
      let isBroken = false
      const sync: NonNullable<Parameters<typeof openLeaseJournal>[1]['sync']> = async (file) => {
        if (isBroken) throw new Error('EIO')
        await file.datasync()
      }
      return { open: async (options) => await openFile({ sync, ...options }), breakDown: () => (isBroken = true) }
    },
  ],
  [
    'simulated',
    () => {
      const disk = createSimDisk()
      return { open: async () => disk.open(), breakDown: () => disk.breakDown(new Error('EIO')) }
    },
  ],
]

describe.each(adapters)('lease journal contract: %s', (_name, createDisk) => {
  it('a new journal is empty', async () => {
    const journal = await createDisk().open()
    expect(await journal.replay()).toEqual([])
  })

  it('replays what was synced, in order, after it is opened again', async () => {
    const { open } = createDisk()
    const first = await open()
    for (const n of [1, 2, 3]) first.append(record(n))
    await first.sync()
    first.append(record(4))
    await first.sync()
    await close(first)
    expect(await (await open()).replay()).toEqual([1, 2, 3, 4].map(record))
  })

  it('closing keeps what was not synced', async () => {
    const { open } = createDisk()
    const first = await open()
    first.append(record(1))
    await close(first)
    expect(await (await open()).replay()).toEqual([record(1)])
  })

  it('replay shows what has been appended since', async () => {
    const journal = await createDisk().open()
    journal.append(record(1))
    expect(await journal.replay()).toEqual([record(1)])
    journal.append(record(2))
    expect(await journal.replay()).toEqual([record(1), record(2)])
  })

  it('records keep their order across syncs that overlap', async () => {
    const { open } = createDisk()
    const journal = await open()
    const syncs: Promise<void>[] = []
    for (let n = 0; n < 100; n++) {
      journal.append(record(n))
      if (n % 7 === 0) syncs.push(journal.sync())
      if (n % 20 === 0) await syncs.at(-1)
    }
    await Promise.all(syncs)
    await close(journal)
    expect(await (await open()).replay()).toEqual(Array.from({ length: 100 }, (_, n) => record(n)))
  })

  it('compaction replaces everything before it and nothing after it', async () => {
    const { open } = createDisk()
    const journal = await open()
    for (const n of [1, 2]) journal.append(record(n))
    const synced = journal.sync()
    journal.append(record(3))
    const compacted = journal.compact([record(10), record(11)])
    journal.append(record(12))
    await Promise.all([synced, compacted, journal.sync()])
    await close(journal)
    const again = await open()
    expect(await again.replay()).toEqual([10, 11, 12].map(record))
    await again.compact([])
    again.append(record(13))
    await close(again)
    expect(await (await open()).replay()).toEqual([record(13)])
  })

  it('after a failed sync every later call fails, whatever the disk does then', async () => {
    const { open, breakDown } = createDisk()
    const journal = await open()
    journal.append(record(1))
    breakDown()
    await expect(journal.sync()).rejects.toThrow()
    expect(() => journal.append(record(2))).toThrow()
    await expect(journal.sync()).rejects.toThrow()
    await expect(journal.compact([])).rejects.toThrow()
    await expect(journal.replay()).rejects.toThrow()
  })

  it('after closing every call fails', async () => {
    const journal = await createDisk().open()
    await close(journal)
    expect(() => journal.append(record(1))).toThrow()
    await expect(journal.sync()).rejects.toThrow()
  })
})

describe('lease journal on a file', () => {
  it('shares one sync among all that ask while another is at work', async () => {
    let syncs = 0
    const journal = await openFile({
      sync: async (file) => {
        syncs += 1
        await file.datasync()
      },
    })
    const before = syncs
    const waiting: Promise<void>[] = []
    for (let n = 0; n < 50; n++) {
      journal.append(record(n))
      waiting.push(journal.sync())
    }
    await waiting[0]
    for (let n = 50; n < 100; n++) {
      journal.append(record(n))
      waiting.push(journal.sync())
    }
    await Promise.all(waiting)
    expect(syncs - before).toBe(2)
  })

  it('does not say that a record is durable before it is', async () => {
    const gate = Promise.withResolvers<void>()
    let isOpen = true
    const journal = await openFile({
      sync: async (file) => {
        if (!isOpen) await gate.promise
        await file.datasync()
      },
    })
    isOpen = false
    const order: string[] = []
    journal.append(record(1))
    const synced = journal.sync().then(() => order.push('synced'))
    const compacted = journal.compact([record(2)]).then(() => order.push('compacted'))
    await new Promise((resolve) => setImmediate(resolve))
    order.push('disk ready')
    gate.resolve()
    await Promise.all([synced, compacted])
    expect(order).toEqual(['disk ready', 'synced', 'compacted'])
  })

  it('tells of a failure once, with its cause', async () => {
    const failures: Error[] = []
    let isBroken = false
    const journal = await openFile({
      onFailure: (cause) => failures.push(cause),
      sync: async () => {
        if (isBroken) throw new Error('EIO')
      },
    })
    isBroken = true
    journal.append(record(1))
    const outcomes = await Promise.allSettled([journal.sync(), journal.compact([]), journal.sync()])
    isBroken = false
    outcomes.push(...(await Promise.allSettled([journal.sync()])))
    expect(outcomes.map(({ status }) => status)).toEqual(['rejected', 'rejected', 'rejected', 'rejected'])
    expect(failures).toEqual([expect.any(LeaseJournalError)])
    expect(failures[0]?.cause).toEqual(new Error('EIO'))
  })

  it('is readable by its owner only', async () => {
    await openFile()
    expect((await stat(path)).mode & 0o777).toBe(0o600)
  })

  /** A journal with three synced blocks, and where each ends. */
  async function threeBlocks(): Promise<number[]> {
    const journal = await openFile()
    const ends: number[] = []
    for (const n of [1, 2, 3]) {
      journal.append(record(n))
      journal.append(record(n + 10))
      await journal.sync()
      ends.push((await stat(path)).size)
    }
    await close(journal)
    return ends
  }

  it('cuts off a torn end, wherever it is torn, warns, and goes on from there', async () => {
    const [, second = 0, third = 0] = await threeBlocks()
    const whole = await readFile(path)
    for (let length = second + 1; length < third; length++) {
      await writeFile(path, whole.subarray(0, length))
      const log = createRecordedLog()
      const journal = await openFile({ log })
      expect(await journal.replay()).toEqual([1, 11, 2, 12].map(record))
      expect((await stat(path)).size).toBe(second)
      expect(log.lines).toEqual([
        { level: 'warn', fields: { path, bytes: length - second }, message: expect.stringContaining('cut off') },
      ])
      journal.append(record(9))
      await close(journal)
      const again = await openFile()
      expect(await again.replay()).toEqual([1, 11, 2, 12, 9].map(record))
      await close(again)
    }
  })

  it('cuts off an end of zeros or of garbage: pages that were never written', async () => {
    await threeBlocks()
    const whole = await readFile(path)
    for (const tail of [Buffer.alloc(5000), Buffer.alloc(100, 0xff), Buffer.from('RkJ1 half a header')]) {
      await writeFile(path, Buffer.concat([whole, tail]))
      const journal = await openFile()
      expect(await journal.replay()).toHaveLength(6)
      await close(journal)
    }
  })

  it('refuses to start on damage before the end, wherever it is, and leaves the file as it is', async () => {
    const [, second = 0] = await threeBlocks()
    const whole = await readFile(path)
    for (let at = 0; at < second; at++) {
      const damaged = Buffer.from(whole)
      damaged[at] = (damaged[at] ?? 0) ^ 0x40
      await writeFile(path, damaged)
      await expect(openFile()).rejects.toThrow(LeaseJournalError)
      expect(await readFile(path)).toEqual(damaged)
    }
  })

  it('forgets a compaction that was interrupted', async () => {
    await threeBlocks()
    await writeFile(`${path}.new`, 'half of it')
    const journal = await openFile()
    expect(await journal.replay()).toHaveLength(6)
    await expect(stat(`${path}.new`)).rejects.toThrow('ENOENT')
  })

  it('is refused while this or another living process has it, and free after closing', async () => {
    const journal = await openFile()
    await expect(openFile()).rejects.toThrow(ProcessLockError)
    await close(journal)
    await close(await openFile())
    const parent = await readFile(`/proc/${process.ppid}/stat`, 'utf8')
    const started = parent.slice(parent.lastIndexOf(')') + 2).split(' ')[19]
    await writeFile(`${path}.lock`, `${process.ppid} ${started}`)
    await expect(openFile()).rejects.toThrow(`process ${process.ppid}`)
  })

  it.each(['999999999 1', '', 'nonsense', `${process.pid} 1`, '0 1', '-1 1'])(
    'takes over the lock of a process that is gone, or whose id is another process now: %j',
    async (holder) => {
      await writeFile(`${path}.lock`, holder)
      await openFile()
      await expect(openFile()).rejects.toThrow(ProcessLockError)
    },
  )

  it('of many that find a stale lock at once, one wins', async () => {
    await writeFile(`${path}.lock`, '999999999 1')
    const outcomes = await Promise.allSettled(Array.from({ length: 8 }, async () => await openFile()))
    expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(1)
    expect(outcomes.flatMap((one) => (one.status === 'rejected' ? [one.reason] : []))).toSatisfy((reasons: unknown[]) =>
      reasons.every((reason) => reason instanceof ProcessLockError),
    )
  })
})

it('waits for room on a full disk and loses nothing', async () => {
  let refusals = 0
  const journal = await openFile({
    write: (file, bytes, position) => {
      if (refusals++ < 2) {
        writeSync(file.fd, bytes, 0, 3, position)
        throw Object.assign(new Error('no space left on device'), { code: 'ENOSPC' })
      }
      writeSync(file.fd, bytes, 0, bytes.byteLength, position)
    },
    onFailure: (cause) => expect.unreachable(cause.message),
  })
  journal.append(record(1))
  await journal.sync()
  journal.append(record(2))
  await journal.sync()
  await close(journal)
  expect(refusals).toBe(4)
  expect(await (await openFile()).replay()).toEqual([record(1), record(2)])
})
