import { chmod, mkdir, readdir, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { expect } from 'vitest'
import { startOf } from '../../../node/hosts/process-table.ts'
import { openSocket, type Json } from '../../support/gateway-lab.ts'
import { eventually } from '../../support/nodes.ts'
import { call, data, example, folder, fresh, meets, refusal, refuses, self, theLab, UNKNOWN } from './harness.ts'

const commands = (): string => `/api/machines/${self()}/commands`
const here = () => ({ params: { machine: self() } })
const nowhere = () => ({ params: { machine: UNKNOWN } })
const unknown = () => ({ params: { machine: self(), id: UNKNOWN } })

/** A machine that is registered and has no node behind it: it is never there. */
async function away(id = UNKNOWN) {
  const { machine } = await data('POST', '/api/machines', { body: { name: fresh('bridged') } })
  return { params: { machine: machine.id, id } }
}

const register = (body: object): Promise<Json> =>
  data('POST', commands(), { body: { name: fresh('command'), type: 'custom', ...body } })

/** A command that shows the words it was given, one a line in brackets. */
const shower = (more: object = {}): Promise<Json> => register({ type: 'custom', command: `printf '[%s]\\n'`, ...more })

const execute = (id: string, body: object = {}): Promise<Json> => data('POST', `${commands()}/${id}/execute`, { body })
const refused = (id: string, body: object) => refusal('POST', `${commands()}/${id}/execute`, { body })

/** The execution once it is over. */
const over = (id: string): Promise<Json> =>
  eventually(async () => {
    const execution = await data('GET', `/api/executions/${id}`)
    return ['queued', 'running'].includes(execution.status) ? undefined : execution
  })
const outputOf = async (id: string, query = ''): Promise<string> =>
  (await data('GET', `/api/executions/${id}/logs${query}`)).map((entry: Json) => entry.data).join('')

/** Runs to the end and gives back what was put out. */
async function shown(id: string, body: object = {}): Promise<string> {
  const { execution_id } = await execute(id, body)
  await over(execution_id)
  return await outputOf(execution_id)
}

type Files = Readonly<Record<string, string>>
async function write(path: string, files: Files): Promise<void> {
  for (const [name, content] of Object.entries(files)) {
    await mkdir(dirname(join(path, name)), { recursive: true })
    await writeFile(join(path, name), content)
    if (content.startsWith('#!')) await chmod(join(path, name), 0o700)
  }
}

async function projectWith(files: Files): Promise<{ id: string; path: string }> {
  const path = await folder()
  await write(path, files)
  const { id, project_path } = await data('POST', `/api/machines/${self()}/projects`, { body: { project_path: path } })
  return { id, path: project_path }
}

/** What is found in a project; the machine looks again within a second. */
async function foundIn(
  path: string,
  enough: (found: Json[]) => boolean = (found) => found.length > 0,
): Promise<Json[]> {
  return await eventually(async () => {
    const all = await data('GET', `${commands()}/search?q=${encodeURIComponent(path)}&per_page=100`)
    return enough(all) ? all : undefined
  })
}

const scripts = (made: Readonly<Record<string, string>>): string => JSON.stringify({ scripts: made })

/** One command of a project: a script of `package.json`. */
async function script(body: string): Promise<{ command: Json; path: string; id: string }> {
  const { id, path } = await projectWith({ 'package.json': scripts({ build: body }) })
  const [command] = await foundIn(path)
  return { command, path, id }
}

/** Of a project of which the machine knows by now: another gateway may have made it. */
const knownFolder = async (): Promise<string> => (await script('true')).path

export function commandRequirements(): void {
  listRequirements()
  searchRequirements()
  getRequirements()
  registerRequirements()
  executeRequirements()
  limitsOfCalls()
  deleteRequirements()
  executionRequirements()
}

function listRequirements(): void {
  const list = 'GET /api/machines/:machine/commands'
  example(list, async () => {
    await shower()
    return here()
  })
  refuses(list, 'MCH_001', nowhere)
  refuses(list, 'MCH_002', () => away())
  meets(list, 'finds what the projects of the machine can run, by kind and where it is said', async () => {
    const { id, path } = await projectWith({
      'package.json': scripts({ build: 'vite build' }),
      'pnpm-lock.yaml': '',
      Makefile: '## Ship it\ndeploy: test\n\t./ship --now\n',
      'composer.json': scripts({ test: 'phpunit', 'post-install-cmd': 'x' }),
      artisan: '<?php',
      justfile: '# Say hello\nhello name="you":\n  echo {{name}}\n',
      'deno.json': '{ "tasks": { "dev": "deno run -A main.ts" } }',
      'pyproject.toml': '[tool.poe.tasks]\nlint = "ruff check"\n',
      'scripts/seed.sh': '#!/bin/sh\n# Fill the database\n',
      'packages/one/package.json': scripts({ build: 'tsc' }),
      'node_modules/other/package.json': scripts({ evil: 'x' }),
      '.gitignore': 'out/\n',
      'out/package.json': scripts({ stale: 'x' }),
    })
    const found = await foundIn(path)
    const pick = ({ command, type, source }: Json) => [type, command, source.slice(path.length + 1)]
    expect(found.filter(({ type }) => type !== 'artisan').map(pick)).toEqual(
      expect.arrayContaining([
        ['pnpm', 'pnpm run build', 'package.json'],
        ['make', 'make deploy', 'Makefile'],
        ['composer', 'composer run-script test', 'composer.json'],
        ['just', 'just hello', 'justfile'],
        ['deno', 'deno task dev', 'deno.json'],
        ['python', 'poe lint', 'pyproject.toml'],
        ['script', './scripts/seed.sh', 'scripts/seed.sh'],
        ['pnpm', 'pnpm run build', 'packages/one/package.json'],
      ]),
    )
    expect(found.filter(({ type }) => type !== 'artisan')).toHaveLength(8)
    expect(found.find(({ command }) => command === 'php artisan migrate')).toMatchObject({
      type: 'artisan',
      description: 'Run database migrations',
      category: 'database',
      is_dangerous: false,
      project_id: id,
      cwd: path,
    })
    expect(found.find(({ command }) => command === 'php artisan migrate:fresh')).toMatchObject({ is_dangerous: true })
    expect(found.find(({ command }) => command === 'make deploy')).toMatchObject({
      description: 'Ship it',
      category: 'deployment',
      is_dangerous: true,
    })
  })
  meets(list, 'pages, 50 at a time', async () => {
    const many = Object.fromEntries(Array.from({ length: 60 }, (_, n) => [`task-${n}`, 'true']))
    const { path } = await projectWith({ 'package.json': scripts(many) })
    await foundIn(path, (found) => found.length === 60)
    const first = await call('GET', commands())
    expect([first.json.data.length, first.json.meta.pagination.per_page]).toEqual([50, 50])
    const second = await data('GET', `${commands()}?page=2`)
    const ids = [...first.json.data, ...second].map(({ id }: Json) => id)
    expect(new Set(ids).size).toBe(ids.length)
    expect(first.json.meta.pagination.total).toBeGreaterThan(60)
  })
  meets(list, 'executes nothing of a repository to list it', async () => {
    const path = await folder()
    const trap = `touch '${path}/sprung'`
    await write(path, {
      Makefile: `X := $(shell ${trap})\nall:\n\ttrue\n`,
      justfile: `x := \`${trap}\`\nset shell := ["sh", "-c", "${trap}"]\nall:\n  true\n`,
      artisan: `#!/bin/sh\n${trap}\n`,
      'package.json': JSON.stringify({ scripts: { all: 'true', prepare: trap }, packageManager: `npm@1;${trap}` }),
      'pyproject.toml': `[build-system]\nbackend-path = ["."]\n[tool.poe.tasks]\nall = "true"\n`,
      'scripts/all': `#!/bin/sh\n${trap}\n`,
      '.git/config': `[core]\n\tfsmonitor = "${trap}"\n`,
    })
    await data('POST', `/api/machines/${self()}/projects`, { body: { project_path: path } })
    await foundIn(path)
    expect(await readdir(path)).not.toContain('sprung')
  })
}

function searchRequirements(): void {
  const search = 'GET /api/machines/:machine/commands/search'
  example(search, async () => {
    await shower({ name: 'php artisan migrate:fresh', command: 'echo fresh' })
    return { ...here(), query: '?q=migrate:fresh' }
  })
  refuses(search, 'MCH_001', () => ({ ...nowhere(), query: '?q=x' }))
  refuses(search, 'MCH_002', async () => ({ ...(await away()), query: '?q=x' }))
  meets(search, 'finds by every word, the best names first', async () => {
    const word = fresh('needle')
    const inText = await shower({ name: fresh('other'), description: `about ${word} and hay` })
    const inName = await shower({ name: `the ${word}`, description: 'hay' })
    const atFront = await shower({ name: `${word} first`, description: 'hay' })
    const idsOf = async (q: string) => (await data('GET', `${commands()}/search?q=${q}`)).map(({ id }: Json) => id)
    expect(await idsOf(word.toUpperCase())).toEqual([atFront.id, inName.id, inText.id])
    expect(await idsOf(`${word}%20about`)).toEqual([inText.id])
    expect(await idsOf(`${word}%20nothing`)).toEqual([])
  })
  meets(search, 'needs something to search for', async () => {
    for (const query of ['', '?q=', '?q=%20'])
      expect(await refusal('GET', `${commands()}/search${query}`)).toEqual([422, 'VAL_001'])
  })
}

function getRequirements(): void {
  const get = 'GET /api/machines/:machine/commands/:id'
  example(get, async () => ({ params: { machine: self(), id: (await shower({ options: ['--force'] })).id } }))
  refuses(get, 'MCH_001', nowhere)
  refuses(get, 'MCH_002', () => away())
  refuses(get, 'CMD_001', unknown)
  meets(get, 'tells what a command takes', async () => {
    const made = await shower({
      options: ['--force', '--step='],
      arguments: ['name', { name: 'rest', variadic: true }],
    })
    const told = await data('GET', `${commands()}/${made.id}`)
    expect(told).toEqual(made)
    expect([told.options, told.arguments]).toEqual([
      ['--force', '--step='],
      [
        { name: 'name', description: '', required: true, variadic: false },
        { name: 'rest', description: '', required: true, variadic: true },
      ],
    ])
    const { path } = await projectWith({
      justfile: 'hello who greeting="hi" *rest:\n  echo\n',
      artisan: '<?php',
      'app/Console/Commands/SendMail.php':
        "<?php class SendMail { protected $signature = 'mail:send {user : Who} {--queue= : Which} {--now}';\n" +
        "protected $description = 'Send mail'; }",
    })
    const found = await foundIn(path)
    const one = async (line: string) =>
      await data('GET', `${commands()}/${found.find(({ command }) => command === line)?.id}`)
    expect((await one('just hello')).arguments).toMatchObject([
      { name: 'who', required: true, variadic: false },
      { name: 'greeting', required: false, variadic: false },
      { name: 'rest', required: false, variadic: true },
    ])
    expect(await one('php artisan mail:send')).toMatchObject({
      description: 'Send mail',
      arguments: [{ name: 'user', description: 'Who', required: true }],
      options: ['--queue=', '--now'],
    })
  })
}

function registerRequirements(): void {
  const one = 'POST /api/machines/:machine/commands'
  example(one, here)
  refuses(one, 'MCH_001', nowhere)
  refuses(one, 'MCH_002', () => away())
  meets(one, 'registers the same once only, and gives another line another id', async () => {
    const name = fresh('command')
    const [first, again] = [await shower({ name }), await shower({ name })]
    expect(again).toEqual(first)
    const changed = await shower({ name, command: 'printf other' })
    expect(changed.id).not.toBe(first.id)
    expect(await refusal('GET', `${commands()}/${first.id}`)).toEqual([404, 'CMD_001'])
  })
  meets(one, 'judges itself what is dangerous', async () => {
    expect((await register({ command: 'rm -rf build' })).is_dangerous).toBe(true)
    expect((await register({ command: 'echo hello', is_dangerous: true })).is_dangerous).toBe(true)
    expect((await register({ command: 'echo hello' })).is_dangerous).toBe(false)
  })
  meets(one, 'refuses what only a shell could read, and variables that load programs', async () => {
    const lines = [
      'a && b',
      'a | b',
      'echo $HOME',
      'echo `id`',
      'a > b',
      'X=1 a',
      'env LD_PRELOAD=/tmp/x.so a',
      "a 'b",
      '',
    ]
    for (const command of lines) {
      const { status, json } = await call('POST', commands(), { body: { name: 'x', command } })
      expect([command, status, Object.keys(json.error.errors)]).toEqual([command, 422, ['command']])
    }
    const shell = await register({
      type: 'shell',
      command: 'echo "$#:$1" && echo two | tr a-z A-Z',
      arguments: ['word'],
    })
    expect(await shown(shell.id, { arguments: ['$(id); `id`'] })).toBe('1:$(id); `id`\nTWO\n')
  })
  const bulk = 'POST /api/machines/:machine/commands/bulk'
  example(bulk, here, ({ registered, skipped }) => expect(registered + skipped).toBe(2))
  refuses(bulk, 'MCH_001', nowhere)
  refuses(bulk, 'MCH_002', () => away())
  meets(bulk, 'skips what is registered, and registers all or none', async () => {
    const [known, other, wrong] = [fresh('a'), fresh('b'), fresh('c')].map((name) => ({
      name,
      command: `echo ${name}`,
    }))
    await data('POST', commands(), { body: known })
    const send = (list: readonly unknown[]) => call('POST', `${commands()}/bulk`, { body: { commands: list } })
    const refusedAll = await send([other, { ...wrong, command: 'a && b' }])
    expect([refusedAll.status, Object.keys(refusedAll.json.error.errors)]).toEqual([422, ['commands.1.command']])
    expect((await send([known, other])).json.data).toMatchObject({ registered: 1, skipped: 1 })
  })
}

const execution = 'POST /api/machines/:machine/commands/:id/execute'

function executeRequirements(): void {
  example(
    execution,
    async () => {
      const path = await knownFolder()
      const { id } = await register({
        name: fresh('migrate'),
        command: 'echo php artisan migrate',
        options: ['--force'],
      })
      return { params: { machine: self(), id }, body: { cwd: path } }
    },
    ({ command }) => expect(command).toBe('echo php artisan migrate --force'),
  )
  refuses(execution, 'MCH_001', nowhere)
  refuses(execution, 'MCH_002', async () => ({ ...(await away()), body: { cwd: '/' } }))
  refuses(execution, 'CMD_001', unknown)
  refuses(execution, 'CMD_002', async () => {
    const { id } = await register({ command: 'no-such-program-anywhere --x', options: ['--force'] })
    return { params: { machine: self(), id }, body: { cwd: await knownFolder() } }
  })
  meets(execution, 'runs in the folder of the project and keeps output and exit code', async () => {
    const { command, path } = await script('pwd; echo problem >&2; exit 7')
    const { execution_id } = await execute(command.id)
    const done = await over(execution_id)
    expect(done).toMatchObject({
      status: 'failed',
      exit_code: 7,
      cwd: path,
      problem: 'The program ended with exit code 7.',
      duration_ms: expect.any(Number),
    })
    expect(await outputOf(execution_id)).toContain(`\n${path}\n`)
    expect(await outputOf(execution_id, '?type=error')).toContain('problem\n')
  })
  meets(execution, 'streams the output on a channel of its own, also what came before', async () => {
    const go = join(await folder(), 'go')
    const { id } = await register({
      type: 'shell',
      command: `echo early; while ! [ -e '${go}' ]; do sleep 0.1; done; exit 4`,
    })
    const { execution_id } = await execute(id)
    const watch = async () => {
      const socket = await openSocket(theLab().url)
      socket.subscribe(`private-execution.${execution_id}`, { token: theLab().token }, { spelling: 'colon' })
      expect((await socket.event('command:output')).data).toEqual({ data: 'early\n', seq: 0, end: 6 })
      return socket
    }
    const live = await watch()
    await writeFile(go, '')
    expect((await live.event('command:exited')).data).toEqual({ exit_code: 4, signal: null })
    await over(execution_id)
    const late = await watch()
    expect((await late.event('command:exited')).data).toEqual({ exit_code: 4, signal: null })
    for (const socket of [live, late]) socket.close()
  })
  meets(execution, 'tells the channels of the machine and the project', async () => {
    const { command, id: project } = await script('echo told')
    await eventually(async () => (await call('GET', `/api/projects/${project}`)).status === 200 || undefined)
    const socket = await openSocket(theLab().url)
    const channels = [`private-machine.${self()}`, `private-project.${project}`]
    for (const channel of channels) {
      socket.subscribe(channel, { token: theLab().token })
      await socket.seen(
        (frame) => frame.event === 'pusher_internal:subscription_succeeded' && frame.channel === channel,
      )
    }
    const { execution_id } = await execute(command.id)
    for (const channel of channels)
      for (const name of ['command:queued', 'command.started', 'command:finished', 'command.finished']) {
        const isIt = (frame: Json) =>
          frame.event === name && frame.channel === channel && frame.data.execution_id === execution_id
        expect((await socket.seen(isIt)).data.execution.command).toBe('npm run build')
      }
    socket.close()
  })
}

function limitsOfCalls(): void {
  meets(execution, 'hands every word on as it is, whatever a shell would make of it', async () => {
    const { id } = await shower({ options: ['--step='], arguments: [{ name: 'rest', variadic: true }] })
    const words = ['$(id)', '`id`', '; rm -rf /', 'a && b', '*', '~', '"', "'", '\\', '\n', '']
    const output = await shown(id, { arguments: words, options: ['--step=$HOME'] })
    expect(output).toBe(['--step=$HOME', ...words].map((word) => `[${word}]\n`).join(''))
  })
  meets(
    execution,
    'refuses options that are not registered, variables that load programs, and further words',
    async () => {
      const { id } = await shower({ options: ['--force', '--step='], arguments: [{ name: 'one', required: false }] })
      const bad = [
        { options: ['--other'] },
        { options: ['--force=1'] },
        { options: ['--force --other'] },
        { options: ['LD_PRELOAD=/tmp/x.so'] },
        { arguments: ['--other'] },
        { arguments: ['-x'] },
        { arguments: ['LD_PRELOAD=/tmp/x.so'] },
        { arguments: ['NODE_OPTIONS=--require /tmp/x'] },
        { arguments: ['a\0b'] },
        { arguments: ['a', 'b'] },
        { env: { LD_PRELOAD: '/tmp/x.so' } },
        { cwd: 'relative' },
        { cwd: '/no/such/folder' },
      ]
      for (const body of bad) expect([body, ...(await refused(id, body))]).toEqual([body, 422, 'VAL_001'])
      const needy = await shower({ arguments: ['one'] })
      expect(await refused(needy.id, {})).toEqual([422, 'VAL_001'])
    },
  )
  meets(execution, 'takes args for arguments', async () => {
    const { id } = await shower({ arguments: ['one'] })
    expect(await shown(id, { args: ['given'] })).toBe('[given]\n')
  })
  meets(execution, 'runs nothing under an id whose file says something else by now', async () => {
    const { command, path } = await script('echo harmless')
    await write(path, { 'package.json': scripts({ build: 'echo changed' }) })
    const { status, json } = await call('POST', `${commands()}/${command.id}/execute`, { body: {} })
    expect([status, json.error.code]).toEqual([404, 'CMD_001'])
    const [successor] = await foundIn(path, ([first]) => first?.id !== command.id)
    expect(json.error.message).toContain(successor.id)
    expect(await shown(successor.id)).toContain('changed')
  })
  meets(execution, 'runs in projects of the machine only', async () => {
    const { id } = await shower()
    expect(await refused(id, { cwd: await folder() })).toEqual([422, 'VAL_001'])
    const { command, path } = await script('echo here')
    expect(await refused(command.id, { cwd: (await projectWith({})).path })).toEqual([422, 'VAL_001'])
    expect(await shown(command.id, { cwd: path })).toContain('here')
  })
}

function deleteRequirements(): void {
  const remove = 'DELETE /api/machines/:machine/commands/:id'
  example(remove, async () => ({ params: { machine: self(), id: (await shower()).id } }))
  refuses(remove, 'MCH_001', nowhere)
  refuses(remove, 'MCH_002', () => away())
  refuses(remove, 'CMD_001', unknown)
  meets(remove, 'leaves what a file of a project says', async () => {
    const { command } = await script('echo stays')
    expect(await refusal('DELETE', `${commands()}/${command.id}`)).toEqual([422, 'VAL_001'])
    expect((await data('GET', `${commands()}/${command.id}`)).id).toBe(command.id)
  })
  const clear = 'DELETE /api/machines/:machine/commands'
  example(clear, async () => {
    await shower()
    return here()
  })
  refuses(clear, 'MCH_001', nowhere)
  refuses(clear, 'MCH_002', () => away())
  meets(clear, 'removes all that is registered and nothing else', async () => {
    const { command } = await script('echo stays')
    const made = [await shower(), await shower()]
    await data('DELETE', commands())
    const gone = [await shower(), await shower(), await shower()]
    expect(await data('DELETE', commands())).toMatchObject({ deleted: 3, deleted_count: 3 })
    for (const { id } of [...made, ...gone])
      expect(await refusal('GET', `${commands()}/${id}`)).toEqual([404, 'CMD_001'])
    expect((await data('GET', `${commands()}/${command.id}`)).id).toBe(command.id)
  })
}

function executionRequirements(): void {
  const list = 'GET /api/machines/:machine/executions'
  const some = async () => ({ params: { id: (await execute((await shower()).id)).id } })
  example(list, async () => {
    await some()
    return here()
  })
  refuses(list, 'MCH_001', nowhere)
  meets(list, 'lists the newest first', async () => {
    const [first, second] = [await some(), await some()]
    await over(second.params.id)
    const ids = (await data('GET', `/api/machines/${self()}/executions`)).map(({ id }: Json) => id)
    expect(ids.indexOf(second.params.id)).toBeLessThan(ids.indexOf(first.params.id))
  })
  const get = 'GET /api/executions/:id'
  example(get, some)
  meets(get, 'tells why a command failed', async () => {
    const { id } = await execute((await register({ type: 'shell', command: 'kill -9 $$' })).id)
    expect(await over(id)).toMatchObject({ status: 'failed', signal: 'SIGKILL', exit_code: null })
    expect(await refusal('GET', `/api/executions/${UNKNOWN}`)).toEqual([404, 'CMD_003'])
  })
  const logs = 'GET /api/executions/:id/logs'
  example(logs, async () => {
    const ran = await some()
    await over(ran.params.id)
    return ran
  })
  meets(logs, 'answers entries by type and limit', async () => {
    const { id } = await execute((await register({ type: 'shell', command: 'echo out; echo err >&2' })).id)
    await over(id)
    expect([await outputOf(id, '?type=output'), await outputOf(id, '?type=error')]).toEqual(['out\n', 'err\n'])
    expect(await data('GET', `/api/executions/${id}/logs?limit=1`)).toHaveLength(1)
  })
  cancelRequirements()
}

function cancelRequirements(): void {
  const cancel = 'POST /api/executions/:id/cancel'
  const sleeper = async (): Promise<Json> => {
    const { id } = await register({ type: 'shell', command: 'sleep 4711 & echo "$!"; wait' })
    const made = await execute(id)
    await eventually(async () => ((await outputOf(made.id)) === '' ? undefined : true))
    return made
  }
  example(
    cancel,
    async () => ({ params: { id: (await sleeper()).id } }),
    ({ status }) => expect(status).toBe('cancelled'),
  )
  meets(cancel, 'ends everything that the command started', async () => {
    const { id } = await sleeper()
    const pid = Number(await outputOf(id))
    await data('POST', `/api/executions/${id}/cancel`)
    expect(startOf(pid)).toBeUndefined()
    expect(await over(id)).toMatchObject({ status: 'cancelled', ended_at: expect.any(String) })
  })
  meets(cancel, 'leaves one that is over as it is', async () => {
    const { id } = await execute((await shower()).id)
    const done = await over(id)
    expect(done.status).toBe('completed')
    expect(await data('POST', `/api/executions/${id}/cancel`)).toEqual(done)
    expect(await refusal('POST', `/api/executions/${UNKNOWN}/cancel`)).toEqual([404, 'CMD_003'])
  })
}
