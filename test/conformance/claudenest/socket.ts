import { expect, it } from 'vitest'
import { openSocket, type Json, type TestSocket } from '../../support/gateway-lab.ts'
import { socketRows } from './document/socket.ts'
import { data, newProject, newTask, theLab } from './harness.ts'
import { newSession } from './sessions.ts'

/** Documented messages that were sent or heard. */
export const heard = new Set<string>()

/** Waits for a message of the document and holds it against its shape. */
async function hear(socket: TestSocket, event: string, fits: (payload: Json) => boolean = () => true): Promise<Json> {
  const row = socketRows.find((one) => one.event === event && one.direction === 'to client')
  if (row === undefined) throw new Error(`The document knows no message ${event} to a client`)
  const frame = await socket.seen((one) => one.event === event && fits(one.data))
  heard.add(event)
  return row.payload.parse(frame.data)
}

function say(socket: TestSocket, event: string, payload: object, channel: string): void {
  const row = socketRows.find((one) => one.event === event && one.direction === 'to server')
  if (row === undefined) throw new Error(`The document knows no message ${event} to the server`)
  row.payload.parse(payload)
  heard.add(event)
  socket.send(event === 'pusher:subscribe' ? { event, data: payload } : { event, channel, data: payload })
}

/** Subscribes as section 13.2 shows it. */
async function follow(channel: string, auth?: object): Promise<TestSocket> {
  const socket = await openSocket(theLab().url)
  const headers = { Authorization: `Bearer ${theLab().token}` }
  say(socket, 'pusher:subscribe', { channel, auth: auth ?? { headers } }, channel)
  await socket.event('pusher_internal:subscription_succeeded')
  return socket
}

const outputOf = (socket: TestSocket): string =>
  socket.frames.flatMap((frame) => (frame.event === 'session:output' ? [frame.data.data] : [])).join('')

export function socketRequirements(): void {
  it('[13.4] runs the terminal of the example: a ticket, input, output', async () => {
    const { session, websocket_token: token } = await newSession()
    const channel = `private-session.${session.id}`
    const socket = await follow(channel, { token })
    say(socket, 'client-session:input', { data: 'echo first-$((1+1))\n' }, channel)
    await hear(socket, 'session:output', () => outputOf(socket).includes('first-2'))
    say(socket, 'session:input', { data: 'echo second-$((1+1))\n' }, channel)
    await hear(socket, 'session:output', () => outputOf(socket).includes('second-2'))
    socket.close()
  })
  it('[13.3] resizes and terminates a session', async () => {
    const { session } = await newSession()
    const channel = `private-session.${session.id}`
    const socket = await follow(channel)
    say(socket, 'session:resize', { cols: 160, rows: 50 }, channel)
    say(socket, 'session:input', { data: 'stty size\n' }, channel)
    await hear(socket, 'session:output', () => outputOf(socket).includes('50 160'))
    say(socket, 'session:terminate', {}, channel)
    await hear(socket, 'session:terminated')
    socket.close()
  })
  it('[13.3] tells of claimed, released and completed tasks', async () => {
    const project = await newProject()
    const { id } = await newTask(project)
    const socket = await follow(`private-project.${project}`)
    const claim = () => data('POST', `/api/tasks/${id}/claim`, { body: { instance_id: 'instance_1' } })
    await claim()
    expect(await hear(socket, 'task:claimed')).toMatchObject({ task: { id }, instanceId: 'instance_1' })
    await data('POST', `/api/tasks/${id}/release`, { body: { reason: 'Blocked' } })
    expect(await hear(socket, 'task:released')).toMatchObject({ task: { id }, reason: 'Blocked' })
    await claim()
    await data('POST', `/api/tasks/${id}/complete`, { body: { summary: 'Done' } })
    expect(await hear(socket, 'task:completed')).toMatchObject({ task: { id }, summary: 'Done' })
    socket.close()
  })
  it('[13.3] tells of locked and unlocked files', async () => {
    const project = await newProject()
    const socket = await follow(`private-project.${project}`)
    const body = { path: 'src/auth.php', instance_id: 'instance_1', reason: 'Refactoring' }
    await data('POST', `/api/projects/${project}/locks`, { body })
    const told = { path: 'src/auth.php', lockedBy: 'instance_1', reason: 'Refactoring' }
    expect(await hear(socket, 'file:locked')).toMatchObject(told)
    const { path, instance_id } = body
    await data('POST', `/api/projects/${project}/locks/release`, { body: { path, instance_id } })
    expect(await hear(socket, 'file:unlocked')).toEqual({ path: 'src/auth.php' })
    socket.close()
  })
}
