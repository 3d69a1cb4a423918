import { Level } from 'level'
import { z } from 'zod'
import type { Bytes } from './level-keys.ts'
import { checkedValue } from './level-values.ts'

/** Raised with every change of the key layout; an older program refuses a newer store. */
export const STORE_VERSION = 1

/** Read in one go, and not more than a megabyte: large enough to be fast, small enough to keep memory flat. */
const READ_ROWS = 256
const READ_BYTES = 1024 * 1024
/** Behind every key. */
const END = Uint8Array.of(255)

/** The store on disk cannot be used; the message tells a person what to do. */
export class StoreUnusableError extends Error {
  override readonly name = 'StoreUnusableError'
}

export type Db = Level<Bytes, Bytes>
export type Op = { type: 'put'; key: Bytes; value: Bytes } | { type: 'del'; key: Bytes }

export const createDb = (dir: string): Db =>
  new Level<Bytes, Bytes>(dir, { keyEncoding: 'view', valueEncoding: 'view' })

export async function openDb(db: Db, dir: string): Promise<void> {
  try {
    await db.open()
  } catch (error) {
    const { code, cause } = Failure.parse(error)
    const reason = cause?.code ?? code
    if (reason === 'LEVEL_LOCKED')
      throw new StoreUnusableError(`${dir} is in use by another Rookery process. Stop that one first.`, {
        cause: error,
      })
    if (reason === 'LEVEL_CORRUPTION') throw damaged(dir, error)
    throw new StoreUnusableError(`${dir} cannot be opened: ${cause?.message ?? String(error)}`, { cause: error })
  }
}

const Failure = z.object({
  code: z.string().optional(),
  cause: z.object({ code: z.string().optional(), message: z.string().optional() }).optional(),
})

export const damaged = (dir: string, cause: unknown): StoreUnusableError =>
  new StoreUnusableError(
    `The store in ${dir} is damaged. Restore a backup into an empty --data-dir (\`rookery restore\`), or join the mesh again with a new one: the other members still have the documents. A copy made in another way would write what they take for forgeries.`,
    { cause },
  )

export function readError(error: unknown, dir: string): unknown {
  const failure = Failure.safeParse(error)
  const code = failure.data?.cause?.code ?? failure.data?.code
  return code === 'LEVEL_CORRUPTION' ? damaged(dir, error) : error
}

export const VERSION_KEY = new TextEncoder().encode('v')

/** Gives a new store its version. @throws StoreUnusableError for that of a newer release */
export async function checkVersion(db: Db, dir: string): Promise<void> {
  const value = await db.get(VERSION_KEY)
  if (value === undefined) {
    for await (const _ of db.keys({ limit: 1 })) throw damaged(dir, new Error('no format version'))
    // Without a checksum: every release can read it, whatever it does with the rest.
    await db.put(VERSION_KEY, new TextEncoder().encode(String(STORE_VERSION)), { sync: true })
    return
  }
  const version = Number(new TextDecoder().decode(value))
  if (!Number.isInteger(version) || version < 1) throw damaged(dir, new Error('unreadable format version'))
  if (version > STORE_VERSION)
    throw new StoreUnusableError(
      `The store in ${dir} has format ${version}, made by a newer release; this one knows format ${STORE_VERSION}. Upgrade Rookery, or use another --data-dir.`,
    )
}

export type KeyRange = { gt?: Bytes; gte?: Bytes; lt: Bytes }

export async function* entries(db: Db, dir: string, range: KeyRange): AsyncGenerator<[Bytes, Bytes]> {
  for await (const [at, value] of rawEntries(db, dir, range)) yield [at, valueOf(at, value, dir)]
}

/** Values as they are stored, with their checksums; everything there is unless a range is given. */
export async function* rawEntries(db: Db, dir: string, range: Partial<KeyRange> = {}): AsyncGenerator<[Bytes, Bytes]> {
  const iterator = db.iterator({ ...range, highWaterMarkBytes: READ_BYTES })
  try {
    for (let batch = await iterator.nextv(READ_ROWS); batch.length > 0; batch = await iterator.nextv(READ_ROWS))
      yield* batch
  } catch (error) {
    throw readError(error, dir)
  } finally {
    await letGo(iterator)
    await iterator.close()
  }
}

/**
 * A closed iterator keeps what it read last, up to a megabyte, until V8 collects it; and V8, which does not see those bytes,
 * has no reason to for a long time. Reading nothing replaces it.
 */
async function letGo(iterator: ReturnType<Db['iterator']>): Promise<void> {
  try {
    iterator.seek(END)
    await iterator.nextv(1)
  } catch {
    // The store has been closed meanwhile, or cannot be read: whoever was reading knows.
  }
}

export async function get(db: Db, dir: string, at: Bytes): Promise<Bytes | undefined> {
  try {
    const value = await db.get(at)
    return value && valueOf(at, value, dir)
  } catch (error) {
    throw readError(error, dir)
  }
}

function valueOf(at: Bytes, stored: Bytes, dir: string): Bytes {
  const value = checkedValue(at, stored)
  if (value === undefined) throw damaged(dir, new Error('a value has changed on disk'))
  return value
}
