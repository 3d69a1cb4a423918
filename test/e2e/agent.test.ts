import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { createScratch, eventually, type Json, type RunningNode } from '../support/nodes.ts'

let scratch: Awaited<ReturnType<typeof createScratch>>
let node: RunningNode
let folder: string

beforeAll(async () => {
  scratch = await createScratch()
  // An agent that does what its prompt says.
  const crow = { file: '/bin/sh', oneshot: ['-c', '{prompt}'] }
  node = await scratch.start('alpha', { config: { sessions: { agents: { crow } } } })
  folder = join(scratch.path, 'work')
  await mkdir(folder)
  await node.cli('project', 'add', folder)
})
afterAll(() => scratch.dispose())

/** Runs it to its end; its id, and what it has printed. */
async function run(prompt: string): Promise<{ id: string; said: string }> {
  const start = ['session', 'start', '--agent', 'crow', '--mode', 'oneshot', '--path', folder, '--prompt', prompt]
  const { id } = (await node.cli(...start)).json
  await eventually(async () => {
    const { json } = await node.cli('session', 'list')
    return json.find((session: Json) => session.id === id && session.ended_at !== null)
  })
  const { json } = await node.cli('session', 'logs', id)
  return { id, said: json.map(({ data }: Json) => data).join('\n') }
}

it('finds `rookery` on its PATH, which asks the node of the session, whatever its data directory', async () => {
  expect((await run('rookery status --json')).said).toContain(`"peer_id":"${node.peerId}","name":"alpha"`)
})

it('takes a task as its session, and has it no more when the session has ended', async () => {
  const task = (await node.cli('task', 'add', 'Fix the login', '--project', 'work')).json
  const { id, said } = await run('rookery task next --claim --json')
  expect(said).toContain(`"id":"${task.id}"`)
  expect(said).toContain(`"assigned_to":"${id}"`)
  const released = await eventually(async () => {
    const { json } = await node.cli('task', 'list', '--project', 'work')
    return json.find(({ status }: Json) => status === 'pending')
  })
  expect(released).toMatchObject({ id: task.id, assigned_to: null })
})
