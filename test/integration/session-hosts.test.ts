import { spawnSync } from 'node:child_process'
import {
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  rmdirSync,
  rmSync,
  statfsSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { afterEach, expect, test } from 'vitest'
import { linkHost } from '../../node/hosts/host-link.ts'
import { RING_BYTES } from '../../node/hosts/output-ring.ts'
import { isRunning, listProcesses, startOf } from '../../node/hosts/process-table.ts'
import { readSpec, readState } from '../../node/hosts/session-files.ts'
import { VIEWER_WINDOW_BYTES } from '../../protocols/session-stream.ts'
import type { SessionHosts } from '../../node/ports/session-host.ts'
import {
  consume,
  createSessionLab,
  programWith,
  scriptSpec,
  sessionId,
  testEnvironment,
  watch,
  type SessionLab,
} from '../support/session-lab.ts'

let lab: SessionLab
afterEach(async () => await lab.end())

const has = (text: string) => (seen: Buffer) => seen.includes(text)
const sessionDir = (n: number): string => join(lab.dataDir, 'sessions', sessionId(n))

async function start(hosts: SessionHosts, spec: ReturnType<typeof scriptSpec>): Promise<void> {
  const started = await hosts.start(spec)
  expect(started).toMatchObject({ ok: true, value: { spec: { id: spec.id } } })
}

/** Waits on a condition of the outside world. */
async function eventually(condition: () => boolean): Promise<void> {
  while (!condition()) await delay(20)
}

const ended = async (hosts: SessionHosts, n: number): Promise<void> =>
  await eventually(() => hosts.get(sessionId(n))?.state.status !== 'running')

test('a viewer gets `seq 1 200000` byte for byte, then the exit', async () => {
  lab = createSessionLab()
  const hosts = lab.open()
  await start(hosts, scriptSpec(1, 'stty -echo; echo ready; read go; seq 1 200000; exit 3'))
  const viewer = await watch(hosts, sessionId(1))
  await viewer.input(Buffer.from('\n'))
  const seen = await consume(viewer)
  const numbers = Array.from({ length: 200_000 }, (_, i) => `${i + 1}\r\n`).join('')
  expect(seen.text.equals(Buffer.from(`ready\r\n${numbers}`))).toBe(true)
  expect({ gaps: seen.gaps, last: seen.last }).toEqual({ gaps: [], last: { type: 'exit', exitCode: 3, signal: null } })
})

test('a single acknowledging viewer of 50 MB has no gap, however much the ring holds', async () => {
  lab = createSessionLab()
  const hosts = lab.open()
  await start(hosts, scriptSpec(1, 'stty raw -echo; echo ready; read go; head -c 50000000 /dev/zero'))
  const viewer = await watch(hosts, sessionId(1))
  // Typed earlier, it would be echoed.
  const first = await consume(viewer, has('ready\n'))
  await viewer.input(Buffer.from('\n'))
  const seen = await consume(viewer)
  expect({ bytes: first.text.byteLength + seen.text.byteLength, next: seen.next, gaps: seen.gaps }).toEqual({
    bytes: 50_000_006,
    next: 50_000_006,
    gaps: [],
  })
})

test('a full disk ends the log of a session, not the session, and its end is told', async ({ skip }) => {
  lab = createSessionLab()
  const tmpfs = ['-t', 'tmpfs', '-o', 'size=1m,mode=0700', 'rookery-test', lab.dataDir]
  if (spawnSync('mount', tmpfs).status !== 0)
    skip('mounting a small file system needs rights that this user does not have')
  const hosts = lab.open()
  const filler = join(lab.dataDir, 'filler')
  try {
    await start(hosts, scriptSpec(1, 'stty -echo; echo ready; read go; seq 1 100000; read go; exit 3'))
    const viewer = await watch(hosts, sessionId(1))
    await consume(viewer, has('ready'))
    const { bavail, bsize } = statfsSync(lab.dataDir)
    writeFileSync(filler, Buffer.alloc(bavail * bsize))
    await viewer.input(Buffer.from('\n'))
    await consume(viewer, has('100000\r\n'))
    await viewer.input(Buffer.from('\n'))
    expect((await consume(viewer)).last).toEqual({ type: 'exit', exitCode: 3, signal: null })
    await ended(hosts, 1)
    expect(hosts.get(sessionId(1))?.state).toMatchObject({ status: 'exited', exitCode: 3 })
    const refused = await hosts.start(scriptSpec(2, 'exec cat'))
    expect([refused, hosts.get(sessionId(2))]).toMatchObject([
      { ok: false, error: { code: 'session_failed' } },
      undefined,
    ])
  } finally {
    rmSync(filler, { force: true })
    await hosts.remove(sessionId(1))
    await hosts.close()
    spawnSync('umount', ['-l', lab.dataDir])
  }
})

test('input is echoed, and a new size is seen by the program', async () => {
  lab = createSessionLab()
  const hosts = lab.open()
  await start(hosts, scriptSpec(1, 'stty size; read a; stty size; read b; echo "got $b"; exec cat'))
  const viewer = await watch(hosts, sessionId(1))
  await consume(viewer, has('40 120\r\n'))
  expect(await hosts.resize(sessionId(1), { cols: 160, rows: 50 })).toEqual({ ok: true, value: null })
  expect(await hosts.input(sessionId(1), Buffer.from('x\n'))).toEqual({ ok: true, value: null })
  await consume(viewer, has('50 160\r\n'))
  await viewer.resize({ cols: 99, rows: 33 })
  await viewer.input(Buffer.from('hällo\n'))
  const seen = await consume(viewer, has('got h'))
  expect(seen.text.toString()).toContain('got hällo')
  expect(hosts.get(sessionId(1))?.state.size).toEqual({ cols: 99, rows: 33 })
})

test('[D1] a stalled viewer does not hold up another and is cut off as slow', async () => {
  lab = createSessionLab({ slowMs: 1500 })
  const hosts = lab.open()
  await start(
    hosts,
    scriptSpec(1, 'stty raw -echo; echo ready; read go; head -c 30000000 /dev/zero; printf done; read end'),
  )
  const stalled = await watch(hosts, sessionId(1))
  const lively = await watch(hosts, sessionId(1))
  const startedMs = performance.now()
  await lively.input(Buffer.from('\n'))
  const seen = await consume(lively, has('done'))
  expect({ gaps: seen.gaps, next: seen.next }).toEqual({ gaps: [], next: 30_000_010 })
  await delay(2500) // the point is that nobody reads while it is cut off, nor long after
  let last: unknown
  let bytes = 0
  for await (const item of stalled.output) {
    last = item
    if (item.type === 'output') bytes += item.bytes.byteLength
  }
  expect(last).toEqual({ type: 'end', reason: 'slow' })
  expect(bytes).toBeLessThanOrEqual(VIEWER_WINDOW_BYTES)
  expect(performance.now() - startedMs).toBeGreaterThan(1500)
  expect(hosts.get(sessionId(1))?.state.status).toBe('running')
})

test('without a viewer the program runs on, the host stays small, and a late viewer is told the gap', async () => {
  lab = createSessionLab()
  const hosts = lab.open()
  await start(hosts, scriptSpec(1, 'stty -echo; echo ready; read go; exec yes'))
  const { pid } = readState(sessionDir(1))!.host
  const rssMb = (): number => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024
  const before = rssMb()
  await hosts.input(sessionId(1), Buffer.from('\n'))
  let peak = before
  let seen: Awaited<ReturnType<typeof consume>>
  do {
    for (const until = performance.now() + 4000; performance.now() < until; await delay(50))
      peak = Math.max(peak, rssMb())
    const viewer = await watch(hosts, sessionId(1), 0)
    seen = await consume(viewer, (text) => text.byteLength > 0)
    viewer.close()
    // A busy machine takes longer to put out what does not fit the ring.
  } while ((seen.gaps[0]?.to ?? 0) <= 4 * RING_BYTES)
  expect(seen.gaps).toEqual([{ from: 0, to: expect.any(Number) }])
  expect(peak - before).toBeLessThan(64)
  const logBytes = readdirSync(sessionDir(1)).reduce((sum, name) => sum + statSync(join(sessionDir(1), name)).size, 0)
  expect(logBytes).toBeLessThan(17 * 1024 * 1024)
})

test('a viewer that comes back goes on from where it was', async () => {
  lab = createSessionLab()
  const hosts = lab.open()
  await start(hosts, scriptSpec(1, 'stty -echo; echo one; read a; echo two; read b'))
  const first = await watch(hosts, sessionId(1))
  const { next } = await consume(first, has('one\r\n'))
  first.close()
  await hosts.input(sessionId(1), Buffer.from('\n'))
  const second = await consume(await watch(hosts, sessionId(1), next), has('two\r\n'))
  expect(second.text.toString()).toBe('two\r\n')
})

test('killing ends everything the session started, also what ignores a hang-up or left the group', async () => {
  lab = createSessionLab()
  const hosts = lab.open()
  const script = `trap '' HUP; sleep 4711 & (setsid sleep 4712 &) ; set -m; sleep 4713 & echo started; read x; sleep 60`
  await start(hosts, scriptSpec(1, script))
  const leader = readState(sessionDir(1))!.program!.pid
  await consume(await watch(hosts, sessionId(1)), has('started'))
  const inSession = listProcesses().filter((entry) => entry.session === leader)
  expect(inSession.length).toBeGreaterThanOrEqual(3)
  await hosts.kill(sessionId(1))
  expect(inSession.filter((entry) => isRunning(entry.pid, entry.start))).toEqual([])
  expect(hosts.get(sessionId(1))?.state).toMatchObject({ status: 'exited', killed: true })
})

test('the end is told although a viewer is stalled', async () => {
  lab = createSessionLab()
  const hosts = lab.open()
  await start(hosts, scriptSpec(1, 'exec yes'))
  const stalled = await watch(hosts, sessionId(1))
  for await (const item of stalled.output) if (item.type === 'output' && item.seq > 300_000) break
  await hosts.kill(sessionId(1))
  expect(hosts.get(sessionId(1))?.state).toMatchObject({ status: 'exited', killed: true })
})

test('a node that vanishes leaves its sessions running, and the next one finds them with every byte', async () => {
  lab = createSessionLab()
  const before = lab.open()
  await start(before, scriptSpec(1, 'stty -echo; echo one; read a; echo two; read b; exit 5'))
  await start(before, scriptSpec(2, 'read a; exit 6'))
  const { next } = await consume(await watch(before, sessionId(1)), has('one\r\n'))
  await before.close()

  const after = lab.open()
  const found = await after.recover()
  expect(new Map(found.map(({ spec, state }) => [spec.id, state.status]))).toEqual(
    new Map([
      [sessionId(1), 'running'],
      [sessionId(2), 'running'],
    ]),
  )
  expect(found.find(({ spec }) => spec.id === sessionId(1))?.spec).toEqual(
    scriptSpec(1, 'stty -echo; echo one; read a; echo two; read b; exit 5'),
  )
  await after.input(sessionId(1), Buffer.from('\n'))
  const viewer = await watch(after, sessionId(1), next)
  await after.input(sessionId(1), Buffer.from('\n'))
  const seen = await consume(viewer)
  expect([seen.text.toString(), seen.last]).toEqual(['two\r\n', { type: 'exit', exitCode: 5, signal: null }])
  await ended(after, 1)
  await after.close()
})

test('what ended while no node was there is found ended, with its exit code', async () => {
  lab = createSessionLab({ lingerMs: 200 })
  const before = lab.open()
  await start(before, scriptSpec(1, 'read a; exit 7'))
  const { host } = readState(sessionDir(1))!
  const link = await linkHost(readSpec(sessionDir(1)).socket, { onState: () => undefined, onClose: () => undefined })
  await before.close()
  await link.request({ type: 'input', bytes: Buffer.from('\n') }, 1000)
  await eventually(() => !isRunning(host.pid, host.start))
  const after = lab.open()
  const [found] = await after.recover()
  expect(found?.state).toMatchObject({ status: 'exited', exitCode: 7, signal: null, killed: false, problem: null })
  expect(existsSync(readSpec(sessionDir(1)).socket)).toBe(false)
})

test('a host that is killed takes its program with it and the session is marked failed', async () => {
  lab = createSessionLab()
  const hosts = lab.open()
  await start(hosts, scriptSpec(1, `trap '' HUP; echo ready; while :; do sleep 1; done`))
  const { host, program } = readState(sessionDir(1))!
  await consume(await watch(hosts, sessionId(1)), has('ready'))
  process.kill(host.pid, 'SIGKILL')
  await ended(hosts, 1)
  expect(hosts.get(sessionId(1))?.state).toMatchObject({
    status: 'failed',
    problem: 'The process that kept the session ended unexpectedly.',
  })
  expect(isRunning(program!.pid, program!.start)).toBe(false)
  expect(await hosts.input(sessionId(1), Buffer.from('x'))).toMatchObject({ error: { code: 'session_ended' } })
})

test('a program sees the allowed environment and nothing else', async () => {
  lab = createSessionLab()
  const hosts = lab.open({
    ...testEnvironment,
    LC_ALL: 'C.UTF-8',
    ROOKERY_SECRET: 's3cret',
    ROOKERY_DATA_DIR: '/nowhere',
    NODE_OPTIONS: '--no-warnings',
    LD_LIBRARY_PATH: '/nowhere',
    GIT_DIR: '/nowhere',
  })
  await start(hosts, scriptSpec(1, '', { program: programWith({ file: '/usr/bin/env', argv: [] }) }))
  await ended(hosts, 1)
  const entries = await hosts.logs(sessionId(1), { limit: 10, bytesMax: 10_000 })
  const text = entries.map((entry) => entry.data).join('')
  expect(text.trim().split('\r\n').toSorted()).toEqual(
    [
      'HOME=/tmp',
      'LANG=C.UTF-8',
      'LC_ALL=C.UTF-8',
      'PATH=/usr/local/bin:/usr/bin:/bin',
      `ROOKERY_DATA_DIR=${lab.dataDir}`,
      `ROOKERY_INSTANCE=${sessionId(1)}`,
      'SHELL=/bin/sh',
      'TERM=xterm-256color',
    ].toSorted(),
  )
})

test('nothing of a session is readable by others, nor in the arguments of its host', async () => {
  lab = createSessionLab()
  const hosts = lab.open()
  await start(hosts, scriptSpec(1, 'umask; read a', { createdBy: 'somebody-special' }))
  const seen = await consume(await watch(hosts, sessionId(1)), has('0'))
  expect(seen.text.toString()).toContain(process.umask().toString(8).padStart(4, '0'))
  const modeOf = (path: string): string => (statSync(path).mode & 0o777).toString(8)
  const files = readdirSync(sessionDir(1)).toSorted()
  expect(files).toEqual(['host.log', 'log.jsonl', 'spec.json', 'state.json'])
  expect(files.map((name) => modeOf(join(sessionDir(1), name)))).toEqual(['600', '600', '600', '600'])
  const { socket } = readSpec(sessionDir(1))
  expect([modeOf(sessionDir(1)), modeOf(socket), modeOf(join(socket, '..'))]).toEqual(['700', '600', '700'])
  const commandLine = readFileSync(`/proc/${readState(sessionDir(1))!.host.pid}/cmdline`, 'utf8')
  expect(commandLine).not.toContain('somebody-special')
  expect(commandLine).toContain(sessionDir(1))
})

test('a program on pipes gets arguments as they are, and its errors are told apart in the log', async () => {
  lab = createSessionLab()
  const hosts = lab.open()
  const argv = ['-c', 'echo "$1"; echo oops >&2; cat', 'name', '$(id); `id` & "quoted" \n --help']
  const shell = programWith({ file: '/bin/sh', argv, io: 'pipes', acceptsInput: false })
  await start(hosts, scriptSpec(1, '', { mode: 'oneshot', program: shell }))
  await ended(hosts, 1)
  const entries = await hosts.logs(sessionId(1), { limit: 10, bytesMax: 10_000 })
  const byType = (type: string): string => entries.flatMap((e) => (e.type === type ? [e.data] : [])).join('')
  expect([byType('output'), byType('error')]).toEqual(['$(id); `id` & "quoted" \n --help\n', 'oops\n'])
  expect(hosts.get(sessionId(1))?.state).toMatchObject({ status: 'exited', exitCode: 0 })
  expect(await hosts.logs(sessionId(1), { limit: 10, bytesMax: 10_000, type: 'error' })).toEqual(
    entries.filter((entry) => entry.type === 'error'),
  )
})

test('a program on pipes that accepts input reads it', async () => {
  lab = createSessionLab()
  const hosts = lab.open()
  const cat = programWith({ file: '/bin/cat', argv: [], io: 'pipes', typed: 'first\n' })
  await start(hosts, scriptSpec(1, '', { mode: 'headless', program: cat }))
  await hosts.input(sessionId(1), Buffer.from('second\n'))
  const seen = await consume(await watch(hosts, sessionId(1)), has('second'))
  expect(seen.text.toString()).toBe('first\nsecond\n')
})

test('input that nobody reads is refused at a limit and never freezes the host', async () => {
  lab = createSessionLab()
  const hosts = lab.open()
  await start(hosts, scriptSpec(1, 'stty raw -echo; echo ready; exec sleep 1000'))
  await consume(await watch(hosts, sessionId(1)), has('ready'))
  const answers: string[] = []
  for (let i = 0; i < 8; i++) {
    const answer = await hosts.input(sessionId(1), Buffer.alloc(60_000, 'x'))
    answers.push(answer.ok ? 'ok' : answer.error.code)
  }
  expect(answers.slice(0, 4)).toEqual(['ok', 'ok', 'ok', 'ok'])
  expect(answers.at(-1)).toBe('limit_reached')
  expect(await hosts.resize(sessionId(1), { cols: 100, rows: 30 })).toEqual({ ok: true, value: null })
})

test('a start that cannot work says why and leaves nothing', async () => {
  lab = createSessionLab()
  const hosts = lab.open()
  const missing = await hosts.start(scriptSpec(1, '', { projectPath: '/nowhere/at/all' }))
  const notAProgram = await hosts.start(scriptSpec(2, '', { program: programWith({ file: '/etc/passwd', argv: [] }) }))
  expect(
    [missing, notAProgram].map((result) => (result.ok ? result : [result.error.code, result.error.message])),
  ).toEqual([
    ['session_failed', 'The session could not be started: /nowhere/at/all is not a directory.'],
    ['session_failed', 'The session could not be started: /etc/passwd cannot be executed.'],
  ])
  expect([hosts.list(), readdirSync(join(lab.dataDir, 'sessions'))]).toEqual([[], []])
})

test('removing deletes everything and ends the host', async () => {
  lab = createSessionLab()
  const hosts = lab.open()
  await start(hosts, scriptSpec(1, 'read a'))
  const { host, program } = readState(sessionDir(1))!
  const { socket } = readSpec(sessionDir(1))
  await hosts.remove(sessionId(1))
  expect([host, program!].map(({ pid, start }) => isRunning(pid, start))).toEqual([false, false])
  expect([existsSync(sessionDir(1)), existsSync(socket), hosts.list()]).toEqual([false, false, []])
})

test('a data directory with a long path still gets its sockets', async () => {
  lab = createSessionLab()
  const { createSessionHosts } = await import('../../node/adapters/session-hosts.ts')
  const hosts = createSessionHosts({
    dataDir: join(lab.dataDir, 'a'.repeat(120)),
    log: lab.log,
    environment: testEnvironment,
  })
  await start(hosts, scriptSpec(1, 'read a'))
  expect(await hosts.input(sessionId(1), Buffer.from('\n'))).toEqual({ ok: true, value: null })
  const { socket } = readSpec(join(lab.dataDir, 'a'.repeat(120), 'sessions', sessionId(1)))
  expect(statSync(dirname(socket)).mode & 0o777).toBe(0o700)
  await hosts.remove(sessionId(1))
  rmdirSync(dirname(socket))
})

test('a directory that others may enter is refused', () => {
  lab = createSessionLab()
  mkdirSync(join(lab.dataDir, 'sessions'), { mode: 0o755 })
  expect(() => lab.open()).toThrow('must be a directory of mode 0700')
  rmSync(join(lab.dataDir, 'sessions'), { recursive: true })
})

test('a process number that was given away again is not taken for the old process', () => {
  lab = createSessionLab()
  expect([isRunning(process.pid, startOf(process.pid)!), isRunning(process.pid, '1')]).toEqual([true, false])
})
