import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { openDataDirectory } from '../../node/adapters/data-directory.ts'
import { openLeaseJournal } from '../../node/adapters/lease-journal.ts'
import { openLevelStore } from '../../node/adapters/level-store.ts'
import { Config } from '../../node/cli/config.ts'
import { journalFile, storeDir } from '../../node/cli/mesh-files.ts'
import { runNode } from '../../node/cli/run-node.ts'
import { verifyLog } from '../../node/services/membership/membership-service.ts'
import { decodeCanonical, encodeCanonical, fromHex } from '../../protocols/codec.ts'
import { hasValidSignature, parseEnvelope } from '../../protocols/feed/envelope.ts'
import { decodeFrame } from '../../protocols/lease/frame.ts'
import { decodeRecord } from '../../protocols/lease/records.ts'
import { Signatures } from '../../protocols/lease/signing.ts'
import { decodeHeartbeat, verifyHeartbeat } from '../../protocols/presence.ts'
import { checkQuestion, decodeAnswer } from '../../protocols/restored.ts'
import { decodeFromCaller, decodeReply } from '../../protocols/rpc.ts'
import { decodeHostFrame, decodeViewerFrame } from '../../protocols/session-stream.ts'
import { decodeSync } from '../../protocols/sync.ts'
import { z } from 'zod'
import { MeshId } from '../../crdt/ids.ts'
import { crypto, identity } from '../support/identity.ts'
import { createRecordedLog } from '../support/log.ts'
import type { RecordedFrame } from './frames.ts'

const RECORDED = join(import.meta.dirname, 'recorded')
const releases = await readdir(RECORDED)

const cleanups: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup()
})

const recorded = async (release: string, name: string) =>
  JSON.parse(await readFile(join(RECORDED, release, `${name}.json`), 'utf8'))

/** The data directory of that release, in a place of its own. */
async function unpacked(release: string): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'rookery-compat-'))
  cleanups.push(() => rm(dir, { recursive: true, force: true }))
  const files: Record<string, string> = await recorded(release, 'data-directory')
  for (const [path, content] of Object.entries(files)) {
    await mkdir(dirname(join(dir, path)), { recursive: true, mode: 0o700 })
    await writeFile(join(dir, path), Buffer.from(content, 'base64'), { mode: 0o600 })
  }
  return dir
}

const read: Readonly<Record<string, (frame: Uint8Array, name: string) => unknown>> = {
  sync: (frame) => decodeSync(frame),
  lease: (frame) => decodeFrame(new Signatures({ crypto, signer: identity(0) }), frame)[0],
  presence: (frame) => {
    const beat = decodeHeartbeat(frame)
    expect(verifyHeartbeat(crypto, beat)).toBe(true)
    return beat
  },
  rpc: (frame, name) => (name === 'request' ? decodeFromCaller(frame) : decodeReply(frame)),
  viewer: (frame) => decodeViewerFrame(frame),
  host: (frame) => decodeHostFrame(frame),
  restored: (frame, name) => (name === 'question' ? (checkQuestion(frame), name) : decodeAnswer(only(frame))),
}

async function* only(frame: Uint8Array): AsyncGenerator<Uint8Array> {
  yield frame
}

describe.each(releases)('what release %s said and stored', (release) => {
  it('[M18] every frame is understood', async () => {
    const frames: RecordedFrame[] = await recorded(release, 'frames')
    expect(frames.length).toBeGreaterThan(10)
    for (const { protocol, name, hex } of frames)
      expect(await read[protocol]?.(fromHex(hex), name), `${protocol} ${name}`).toBeDefined()
  })

  it('[M18] [M22] the store, the membership log, envelopes, a snapshot and the voter’s journal are read', async () => {
    const data = await openDataDirectory(await unpacked(release))
    const mesh = (await data.currentMesh()) ?? ''
    const store = await openLevelStore(storeDir(data.meshDir(mesh)))
    cleanups.push(() => store.close())
    const records = await store.readRecords()
    expect(verifyLog(crypto, records, MeshId.parse(mesh))).toBeDefined()
    const documents = await store.documents()
    let envelopes = 0
    for (const [doc, authors] of documents)
      for (const author of authors.keys())
        for await (const { bytes } of store.read(doc, author, 1)) {
          expect(hasValidSignature(parseEnvelope(bytes, crypto), crypto)).toBe(true)
          envelopes++
        }
    expect(envelopes).toBeGreaterThan(100)
    const snapshots = await Promise.all([...documents.keys()].map((doc) => store.loadSnapshot(doc)))
    expect(snapshots.some((snapshot) => snapshot !== undefined)).toBe(true)
    const log = createRecordedLog()
    const journal = await openLeaseJournal(journalFile(data.meshDir(mesh)), { log, onFailure: () => undefined })
    cleanups.push(() => journal.close())
    const kinds = (await journal.replay()).map((bytes) => decodeRecord(bytes).t)
    expect(kinds).toEqual(expect.arrayContaining(['init', 'grant']))
  })

  it('[M18] [M22] a node of this release goes on where that one stopped', async () => {
    const dir = await unpacked(release)
    const config = Config.parse({ gateway: false, p2p: { listen: ['/ip4/127.0.0.1/tcp/0'], mdns: false } })
    const log = createRecordedLog()
    const node = await runNode(dir, config, log)
    cleanups.push(() => node.stop())
    const { services } = node.mesh()
    const [project] = await services.projects.all()
    const page = await services.tasks.list(project?.id ?? '', {}, { page: 1, perPage: 1 })
    expect([project?.name, page.ok && page.value.total]).toEqual(['sample', 105])
    expect(log.lines.filter(({ level }) => level === 'error')).toEqual([])
  })
})

describe('what a later release may add', () => {
  it('[M18] a field that is not known is ignored, a kind of message too', async () => {
    const frames: RecordedFrame[] = await recorded(releases.at(-1) ?? '', 'frames')
    for (const { protocol, name, hex } of frames.filter(({ protocol }) =>
      ['sync', 'rpc', 'restored'].includes(protocol),
    )) {
      const message = decodeCanonical(z.looseObject({}), fromHex(hex), 1_000_000)
      const later = encodeCanonical({ ...message, later: { a: [1] } })
      expect(await read[protocol]?.(later, name), `${protocol} ${name}`).toEqual(
        await read[protocol]?.(fromHex(hex), name),
      )
    }
    expect(decodeSync(encodeCanonical({ v: 1, t: 'later' }))).toBeUndefined()
  })
})
