import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { SessionId } from '../../crdt/ids.ts'
import { createSessionHosts } from '../../node/adapters/session-hosts.ts'
import { HOST_TIMING, type HostTiming } from '../../node/hosts/session-files.ts'
import type { SessionHosts, SessionProgram, SessionSpec } from '../../node/ports/session-host.ts'
import type { SessionOutput, SessionViewer } from '../../node/services/sessions/session-service.ts'
import { createViewer } from '../../node/services/sessions/session-viewer.ts'
import { identity } from './identity.ts'
import { createRecordedLog, type RecordedLog } from './log.ts'

export const sessionId = (n: number): SessionId =>
  SessionId.parse(`00000000-0000-4000-8000-${String(n).padStart(12, '0')}`)

export const testEnvironment = {
  PATH: '/usr/local/bin:/usr/bin:/bin',
  HOME: tmpdir(),
  SHELL: '/bin/sh',
  LANG: 'C.UTF-8',
} satisfies Record<string, string>

/** In a terminal and of no known agent, unless it is told otherwise. */
export const programWith = (
  change: Pick<SessionProgram, 'file' | 'argv'> & Partial<SessionProgram>,
): SessionProgram => ({
  io: 'pty',
  acceptsInput: true,
  typed: null,
  takes: 'bytes',
  output: null,
  hasTranscript: false,
  ...change,
})

/** A terminal that runs a script with /bin/sh; `change` replaces parts. */
export function scriptSpec(n: number, script: string, change: Partial<SessionSpec> = {}): SessionSpec {
  return {
    id: sessionId(n),
    mode: 'interactive',
    agent: 'shell',
    projectPath: tmpdir(),
    program: programWith({ file: '/bin/sh', argv: ['-c', script] }),
    size: { cols: 120, rows: 40 },
    createdAt: '2027-01-15T08:00:00.000Z',
    createdBy: 'user-1',
    gateway: identity(1).peer,
    ...change,
  }
}

export type SessionLab = {
  readonly dataDir: string
  readonly log: RecordedLog
  /** A fresh adapter on the same directory, as after a restart of the node. */
  open(environment?: NodeJS.ProcessEnv): SessionHosts
  end(): Promise<void>
}

/** Real session hosts under a temporary directory; `end` leaves neither a process nor a file behind. */
export function createSessionLab(timing: Partial<HostTiming> = {}): SessionLab {
  const dataDir = mkdtempSync(join(tmpdir(), 'rk-'))
  const log = createRecordedLog()
  const open = (environment: NodeJS.ProcessEnv = testEnvironment): SessionHosts =>
    createSessionHosts({ dataDir, log, environment, timing: { ...HOST_TIMING, killGraceMs: 500, ...timing } })
  return {
    dataDir,
    log,
    open,
    async end() {
      const hosts = open()
      for (const { spec } of await hosts.recover()) await hosts.remove(spec.id)
      await hosts.close()
      rmSync(dataDir, { recursive: true, force: true })
    },
  }
}

export async function watch(
  hosts: Pick<SessionHosts, 'open'>,
  id: SessionId,
  fromSeq?: number,
): Promise<SessionViewer> {
  const pipe = await hosts.open(id)
  const options = { signal: new AbortController().signal }
  return createViewer(pipe, fromSeq === undefined ? options : { ...options, fromSeq })
}

export type Seen = { text: Buffer; gaps: { from: number; to: number }[]; last: SessionOutput | undefined; next: number }

/** Consumes and acknowledges until the condition holds or the output ends. */
export async function consume(viewer: SessionViewer, isEnough: (seen: Buffer) => boolean = () => false): Promise<Seen> {
  const chunks: Uint8Array[] = []
  const gaps: { from: number; to: number }[] = []
  let last: SessionOutput | undefined
  let next = -1
  const iterator = viewer.output[Symbol.asyncIterator]()
  for (let item = await iterator.next(); !item.done; item = await iterator.next()) {
    last = item.value
    if (last.type === 'gap') {
      gaps.push({ from: last.from, to: last.to })
      next = last.to
    }
    if (last.type !== 'output') continue
    if (next !== -1 && last.seq !== next) throw new Error(`byte ${last.seq} came after byte ${next}`)
    next = last.seq + last.bytes.byteLength
    chunks.push(last.bytes.slice())
    viewer.acknowledge(next)
    if (isEnough(Buffer.concat(chunks.slice(-64)))) break
  }
  return { text: Buffer.concat(chunks), gaps, last, next }
}
