import { constants, fdatasync, writeSync } from 'node:fs'
import { open, readFile, rename, unlink, type FileHandle } from 'node:fs/promises'
import { dirname } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { promisify } from 'node:util'
import type { LeaseJournal } from '../ports/lease-journal.ts'
import type { Log } from '../ports/log.ts'
import { readIfThere } from './data-directory.ts'
import { framed, parseBlocks, sealBlock } from './lease-journal-blocks.ts'
import { lockProcess } from './process-lock.ts'
import { syncFolder } from './sync-folder.ts'

/** Records that nobody asked to sync are written when there are this many bytes of them. */
const UNSYNCED_BYTES_MAX = 1024 * 1024

/** How often a full disk is tried again. */
const FULL_DISK_RETRY_MS = 500

export class LeaseJournalError extends Error {
  override readonly name = 'LeaseJournalError'
}

type Options = {
  readonly log: Log
  /** The disk failed, so nothing is known about it any more: the process should end. Called once. */
  readonly onFailure: (cause: Error) => void
  /** Makes a file's data durable; only tests pass another one. */
  readonly sync?: (file: FileHandle) => Promise<void>
  /** Writes all bytes at a position; only tests pass another one. */
  readonly write?: (file: FileHandle, bytes: Buffer, position: number) => void
}

/**
 * Opens or creates the journal for this process alone.
 * @throws ProcessLockError when another process has it
 * @throws LeaseJournalError when it is damaged other than by a torn end
 */
export async function openLeaseJournal(path: string, options: Options): Promise<LeaseJournal> {
  const unlock = await lockProcess(`${path}.lock`)
  try {
    const { file, length } = await openFile(path, options)
    return new FileJournal(path, { file, length, unlock }, options)
  } catch (error) {
    await unlock()
    throw error
  }
}

type Block = { records: Buffer[]; bytes: number; flushed: Promise<void> | undefined }
type Opened = { file: FileHandle; length: number; unlock: () => Promise<void> }

const emptyBlock = (): Block => ({ records: [], bytes: 0, flushed: undefined })

class FileJournal implements LeaseJournal {
  readonly #path: string
  readonly #options: Options
  readonly #unlock: () => Promise<void>
  #file: FileHandle
  #length: number
  #open = emptyBlock()
  /** Everything that touches the file, in order. */
  #tail: Promise<void> = Promise.resolve()
  #failure: Error | undefined
  #isClosing = false

  constructor(path: string, { file, length, unlock }: Opened, options: Options) {
    this.#path = path
    this.#file = file
    this.#length = length
    this.#unlock = unlock
    this.#options = options
  }

  async replay(): Promise<readonly Uint8Array[]> {
    await this.sync()
    return parseBlocks(await readFile(this.#path)).records
  }

  append(record: Uint8Array): void {
    if (this.#failure) throw this.#failure
    const bytes = framed(record)
    this.#open.records.push(bytes)
    this.#open.bytes += bytes.byteLength
    // A failure of this flush reaches the caller through `onFailure` and every later call.
    if (this.#open.bytes > UNSYNCED_BYTES_MAX) this.sync().catch(() => undefined)
  }

  sync(): Promise<void> {
    const block = this.#open
    block.flushed ??= this.#enqueue(async () => {
      if (this.#open === block) this.#open = emptyBlock()
      await this.#write(block)
    })
    return block.flushed
  }

  async compact(records: readonly Uint8Array[]): Promise<void> {
    // What was appended before belongs to the old generation; whoever waits for it must not be told too early.
    const flushed = this.sync()
    this.#open = emptyBlock()
    const replaced = this.#enqueue(async () => await this.#replace(records))
    await Promise.all([flushed, replaced])
  }

  async close(): Promise<void> {
    this.#isClosing = true
    try {
      if (!this.#failure) await this.sync()
    } finally {
      this.#failure ??= new LeaseJournalError('the lease journal is closed')
      await this.#file.close()
      await this.#unlock()
    }
  }

  #enqueue(work: () => Promise<void>): Promise<void> {
    const done = this.#tail.then(async () => {
      if (this.#failure) throw this.#failure
      try {
        await work()
      } catch (cause) {
        this.#failure = new LeaseJournalError(`the lease journal ${this.#path} could not be written`, { cause })
        this.#options.onFailure(this.#failure)
        throw this.#failure
      }
    })
    // The order of the queue survives a failure; the failure itself is in `done`.
    this.#tail = done.catch(() => undefined)
    return done
  }

  async #write({ records }: Block): Promise<void> {
    if (records.length === 0) return
    const block = sealBlock(records)
    await this.#writeWhenThereIsRoom(block)
    await this.#sync(this.#file)
    this.#length += block.byteLength
  }

  /**
   * A full disk refuses the write itself; no sync has failed, so what is on disk is still known and the write may be
   * tried again. Until then nobody gets an answer, which is all that a voter without a disk can do.
   *
   * The write itself only copies into the page cache, which takes a tenth of what handing it to another thread does.
   */
  async #writeWhenThereIsRoom(block: Buffer): Promise<void> {
    const { log, write = writeFully } = this.#options
    for (let isTold = false; ; isTold = true) {
      try {
        return write(this.#file, block, this.#length)
      } catch (error) {
        if (!isCode(error, 'ENOSPC') && !isCode(error, 'EDQUOT')) throw error
        await this.#file.truncate(this.#length)
        if (this.#isClosing) throw error
        if (!isTold) log.error({ path: this.#path }, 'the disk is full: this voter grants nothing until there is room')
        await delay(FULL_DISK_RETRY_MS)
      }
    }
  }

  async #replace(records: readonly Uint8Array[]): Promise<void> {
    const next = `${this.#path}.new`
    const block = records.length === 0 ? Buffer.alloc(0) : sealBlock(records.map(framed))
    const file = await open(next, 'w+', 0o600)
    writeFully(file, block, 0)
    await this.#sync(file)
    await rename(next, this.#path)
    await syncFolder(dirname(this.#path))
    await this.#file.close()
    this.#file = file
    this.#length = block.byteLength
  }

  async #sync(file: FileHandle): Promise<void> {
    await (this.#options.sync ?? datasync)(file)
  }
}

async function openFile(path: string, { log, sync = datasync }: Options): Promise<Omit<Opened, 'unlock'>> {
  await unlinkIfThere(`${path}.new`)
  const existing = await readIfThere(path)
  if (!existing) {
    const file = await open(path, 'wx+', 0o600)
    await sync(file)
    await syncFolder(dirname(path))
    return { file, length: 0 }
  }
  const { length, damage } = parseBlocks(existing)
  if (damage === 'inside') {
    throw new LeaseJournalError(
      `The voter journal ${path} is damaged at byte ${length}, before its end: promises of this voter may be lost. ` +
        'Restore the file, or remove it and give this node a new voter identity.',
    )
  }
  const file = await open(path, constants.O_RDWR)
  if (damage === 'end') {
    log.warn(
      { path, bytes: existing.byteLength - length },
      'cut off an unfinished write at the end of the voter journal',
    )
    await file.truncate(length)
    await sync(file)
  }
  return { file, length }
}

function writeFully(file: FileHandle, bytes: Buffer, position: number): void {
  for (let done = 0; done < bytes.byteLength;) {
    done += writeSync(file.fd, bytes, done, bytes.byteLength - done, position + done)
  }
}

const datasyncOf = promisify(fdatasync)

/** What `FileHandle` adds to it costs as much time of this thread as handing it to another one does. */
const datasync = async (file: FileHandle): Promise<void> => await datasyncOf(file.fd)

async function unlinkIfThere(path: string): Promise<void> {
  try {
    await unlink(path)
  } catch (error) {
    if (!isCode(error, 'ENOENT')) throw error
  }
}

const isCode = (error: unknown, code: string): boolean =>
  error instanceof Error && 'code' in error && error.code === code
