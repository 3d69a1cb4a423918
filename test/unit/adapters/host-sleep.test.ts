import { once } from 'node:events'
import { createServer, type AddressInfo, type Socket } from 'node:net'
import { afterEach, expect, it } from 'vitest'
import { createHostSleep } from '../../../node/adapters/host-sleep.ts'
import type { Cancel } from '../../../node/ports/clock.ts'
import { createManualClock } from '../../support/clock.ts'

const THERE = 'The name org.freedesktop.login1 is owned by :1.5'
const SLEEP = '/org/freedesktop/login1: org.freedesktop.login1.Manager.PrepareForSleep (true,)'
const WAKE = '/org/freedesktop/login1: org.freedesktop.login1.Manager.PrepareForSleep (false,)'

const undo: Cancel[] = []
afterEach(() => {
  for (const cancel of undo.splice(0)) cancel()
})

/** A program in the place of systemd-inhibit and gdbus: it prints what is sent to it, and its connection ends with it. */
async function createLogind() {
  const server = createServer()
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const { port } = server.address() as AddressInfo
  undo.push(() => server.close())
  const code = `require('net').connect(${port}, '127.0.0.1').on('close', () => process.exit()).pipe(process.stdout)`
  const started = async (): Promise<Socket> => (await once(server, 'connection'))[0] as Socket
  return { command: [process.execPath, '-e', code] as const, started }
}

it('lets the host sleep once what was to be done before is done, and watches again after it has woken', async () => {
  const clock = createManualClock()
  const { command, started } = await createLogind()
  const starting = started()
  const done = Promise.withResolvers<void>()
  let called = 0
  const { promise: asked, resolve: ask } = Promise.withResolvers<void>()
  const hostSleep = createHostSleep({ clock, environment: process.env, command: [...command] })
  undo.push(
    hostSleep.onSleep(async () => {
      called++
      ask()
      await done.promise
    }),
  )
  const logind = await starting
  logind.write(`${[THERE, WAKE, SLEEP].join('\n')}\n`)
  await asked
  expect([called, logind.closed]).toEqual([1, false])
  done.resolve()
  await once(logind.resume(), 'close')
  const again = started()
  while (!(await Promise.race([again.then(() => true), clock.advance(30_000).then(() => false)])));
  expect(called).toBe(1)
})

it('is quiet where there is nobody who knows, and ends with the node', async () => {
  const clock = createManualClock()
  const nobody = createHostSleep({ clock, environment: process.env, command: ['/nonexistent/systemd-inhibit'] })
  undo.push(nobody.onSleep(async () => undefined))
  const { command, started } = await createLogind()
  const starting = started()
  const cancel = createHostSleep({ clock, environment: process.env, command: [...command] }).onSleep(
    async () => undefined,
  )
  const logind = await starting
  cancel()
  await once(logind.resume(), 'close')
})
