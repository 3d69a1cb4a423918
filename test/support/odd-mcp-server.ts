import { spawn } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { createInterface } from 'node:readline'

/**
 * An MCP server with bad manners, for tests: it does not end when told to, has a child, crashes when asked, changes its
 * tools, and notes down which of its calls were cancelled. `node odd-mcp-server.ts <file for its notes> [what else it does]`.
 */
const [notes = '', ...habits] = process.argv.slice(2)
const is = (habit: string): boolean => habits.includes(habit)

for (const signal of ['SIGTERM', 'SIGHUP', 'SIGINT'] as const) if (is('stubborn')) process.on(signal, () => undefined)
if (is('stubborn')) {
  spawn(process.execPath, ['-e', 'setInterval(() => undefined, 1000)', notes], { stdio: 'ignore' })
  setInterval(() => undefined, 1000)
}
if (is('noisy')) for (let i = 0; i < 200; i++) process.stderr.write(`line ${i} \u001b[31mred\u001b[0m\n`)
process.stdout.write('Welcome to a server that greets people, too\n')

type Message = { readonly id?: number; readonly method: string; readonly params: Record<string, never> }

const say = (message: object): unknown => process.stdout.write(`${JSON.stringify({ jsonrpc: '2.0', ...message })}\n`)
const text = (said: string): object => ({ content: [{ type: 'text', text: said }] })
const tool = (name: string): object => ({ name, inputSchema: { type: 'object' } })
let names = ['crash', 'wait', 'learn', 'big', 'pictures']

createInterface({ input: process.stdin }).on('line', (line) => {
  const { id, method, params }: Message = JSON.parse(line)
  if (method === 'initialize') {
    const capabilities = { tools: { listChanged: true } }
    say({
      id,
      result: { protocolVersion: params['protocolVersion'], capabilities, serverInfo: { name: 'odd', version: '1' } },
    })
  } else if (method === 'tools/list') say({ id, result: { tools: names.map(tool) } })
  else if (method === 'notifications/cancelled') writeFileSync(notes, `cancelled ${params['requestId']}`)
  else if (method === 'tools/call') call(id, params['name'])
})

function call(id: number | undefined, name: string | undefined): void {
  if (name === 'crash') process.exit(7)
  if (name === 'wait') writeFileSync(notes, `waiting ${id}`)
  if (name === 'learn') {
    names = [...names, 'learnt']
    say({ method: 'notifications/tools/list_changed' })
    say({ id, result: text('I know more now') })
  }
  if (name === 'big') say({ id, result: text('x'.repeat(2_000_000)) })
  if (name === 'pictures') say({ id, result: { content: [{ type: 'image', data: 'aGk=', mimeType: 'image/png' }] } })
}
