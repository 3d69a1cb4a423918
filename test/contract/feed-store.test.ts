import { execFileSync } from 'node:child_process'
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Level } from 'level'
import { afterEach, describe, expect, it } from 'vitest'
import { STORE_VERSION, StoreUnusableError } from '../../node/adapters/level-db.ts'
import { openLevelStore } from '../../node/adapters/level-store.ts'
import { createDocuments } from '../../node/services/feeds/documents-service.ts'
import { StorageError } from '../../node/services/feeds/documents.ts'
import type { FeedStore } from '../../node/ports/feed-store.ts'
import { createManualClock } from '../support/clock.ts'
import { createSeededRandom, crypto, identity } from '../support/identity.ts'
import { createRecordedLog } from '../support/log.ts'
import { createMemoryStore, type MemoryStore } from '../support/memory-store.ts'
import { createMembership, PROJECT, setKey } from '../support/replicas.ts'
import { describeFeedStore } from './feed-store.ts'

const cleanups: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup()
})

async function tempDir(): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'rookery-store-'))
  cleanups.push(() => rm(dir, { recursive: true, force: true }))
  return dir
}

async function open(dir: string): Promise<FeedStore> {
  const store = await openLevelStore(dir)
  cleanups.push(() => store.close())
  return store
}

describe('the feed store on level', () => {
  const dirs = new Map<FeedStore, string>()
  describeFeedStore({
    async create() {
      const dir = await tempDir()
      const store = await open(dir)
      dirs.set(store, dir)
      return store
    },
    async reopen(store) {
      await store.close()
      return open(dirs.get(store) ?? '')
    },
  })

  it('[M22] of a newer release is refused with words that say what to do', async () => {
    const dir = await tempDir()
    await (await openLevelStore(dir)).close()
    const db = new Level(dir)
    await db.put('v', String(STORE_VERSION + 1), { sync: true })
    await db.close()
    await expect(openLevelStore(dir)).rejects.toThrow(
      new StoreUnusableError(
        `The store in ${dir} has format 2, made by a newer release; this one knows format 1. Upgrade Rookery, or use another --data-dir.`,
      ),
    )
  })

  it.each(['banana', '-1', ''])('with the unreadable format version %j is refused', async (version) => {
    const dir = await tempDir()
    const db = new Level(dir)
    await db.put('v', version, { sync: true })
    await db.close()
    await expect(openLevelStore(dir)).rejects.toThrow('is damaged')
  })

  it('that something else made is refused', async () => {
    const dir = await tempDir()
    const db = new Level(dir)
    await db.put('someone', 'else', { sync: true })
    await db.close()
    await expect(openLevelStore(dir)).rejects.toThrow('is damaged')
  })

  it('that another process has is refused', async () => {
    const dir = await tempDir()
    await open(dir)
    await expect(openLevelStore(dir)).rejects.toThrow(
      `${dir} is in use by another Rookery process. Stop that one first.`,
    )
  })

  it('that is damaged says what to do', async () => {
    const dir = await tempDir()
    await (await openLevelStore(dir)).close()
    await writeFile(join(dir, 'CURRENT'), 'garbage')
    await expect(openLevelStore(dir)).rejects.toThrow(
      `The store in ${dir} is damaged. Restore a backup into an empty --data-dir (\`rookery restore\`), or join the mesh again with a new one: the other members still have the documents. A copy made in another way would write what they take for forgeries.`,
    )
  })

  it('is not readable by other users', async () => {
    const dir = join(await tempDir(), 'inner')
    await open(dir)
    expect(execFileSync('stat', ['-c', '%a', dir]).toString().trim()).toBe('700')
  })
})

describe('the simulated feed store', () => {
  describeFeedStore({
    create: async () => createMemoryStore(),
    reopen: async (store) => (store as MemoryStore).crash(),
  })

  it('stores nothing while it fails, and loses what was not synced in a crash', async () => {
    const store = createMemoryStore()
    const one = { doc: PROJECT, author: identity(0).peer, seq: 1, bytes: new Uint8Array(1) }
    store.failWith(new Error('ENOSPC'))
    await expect(store.append([one])).rejects.toThrow('ENOSPC')
    store.failWith(undefined)
    store.hold()
    const lost = store.append([one])
    const again = store.crash()
    store.release()
    await expect(lost).rejects.toThrow('crashed')
    expect(await again.documents()).toEqual(new Map())
  })
})

/** A file system that is really full; only root may make one. */
async function tinyDisk(): Promise<string | undefined> {
  const dir = await tempDir()
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=6m', 'tmpfs', dir], { stdio: 'ignore' })
  } catch {
    return undefined // not root, or no right to mount: the simulated store has the same test
  }
  cleanups.push(async () => void execFileSync('umount', [dir]))
  return dir
}

describe('a full disk', () => {
  it('[M14] changes nothing, loses nothing acknowledged, and is got over', async ({ skip }) => {
    const disk = await tinyDisk()
    skip(disk === undefined, 'cannot mount a file system here')
    const dir = join(disk ?? '', 'store')
    const start = async () => {
      const store = await openLevelStore(dir)
      const membership = createMembership(1)
      const deps = { store, crypto, signer: identity(0), clock: createManualClock(), random: createSeededRandom(1) }
      const documents = await createDocuments({ ...deps, log: createRecordedLog(), membership: membership.current })
      return { store, documents }
    }
    let { store, documents } = await start()
    await documents.open(PROJECT)
    const acknowledged: string[] = []
    const write = async (key: string): Promise<boolean> => {
      try {
        await documents.write(PROJECT, undefined, setKey(key, crypto.sha256(new TextEncoder().encode(key))))
        acknowledged.push(key)
        return true
      } catch (error) {
        if (!(error instanceof StorageError)) throw error
        return false
      }
    }
    const keys = () => documents.read(PROJECT, (state) => [...state.getMap('m').keys()].toSorted())

    for (let i = 0; i < 50; i++) await write(`early ${i}`)
    const ballast = join(disk ?? '', 'ballast')
    await fillUp(ballast)
    let refused = 0
    for (let i = 0; i < 400 && refused < 5; i++) if (!(await write(`full ${i}`))) refused++
    expect(refused).toBe(5)
    expect(await keys()).toEqual(acknowledged.toSorted())

    await rm(ballast)
    expect(await write('after')).toBe(true)
    for (let i = 0; i < 50; i++) expect(await write(`late ${i}`)).toBe(true)
    expect(await keys()).toEqual(acknowledged.toSorted())
    await store.close()
    ;({ store, documents } = await start())
    expect(await keys()).toEqual(acknowledged.toSorted())
    expect((await readdir(disk ?? '')).includes('ballast')).toBe(false)
    await store.close()
  })
})

async function fillUp(path: string): Promise<void> {
  const { open: openFile } = await import('node:fs/promises')
  const file = await openFile(path, 'w')
  try {
    for (const size of [65_536, 4096]) {
      for (let room = true; room;) {
        try {
          await file.write(new Uint8Array(size))
        } catch {
          room = false // full at this grain
        }
      }
    }
  } finally {
    await file.close()
  }
}
