import { readFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import { text } from 'node:stream/consumers'
import { InvalidArgumentError, type Command } from 'commander'
import type { McpResult, McpServer, McpServerTool, McpTool } from '../../../crdt/mcp.ts'
import { ask, command, group, parseDuration, print, table, type CommonOptions } from '../command.ts'
import { CommandFailure, EXIT } from '../exit.ts'
import { wireResult, wireServer, wireServerTool, wireTool } from '../wire.ts'
import { signInCommand, signOutCommand } from './mcp-sign-in.ts'
import { collect } from './work-flags.ts'

type On = CommonOptions & { readonly machine?: string }

/** MCP servers of any machine: tools that agents and API clients call there. */
export function mcpCommand(): Command {
  const mcp = group('mcp', 'MCP servers on any machine of the mesh')
  for (const sub of [
    list(),
    show(),
    add(),
    set(),
    approve(),
    signInCommand(),
    signOutCommand(),
    start(),
    stop(),
    tools(),
    call(),
    remove(),
  ])
    mcp.addCommand(sub)
  return mcp
}

const onMachine = (name: string, description: string): Command =>
  command(name, description).option('--machine <name or id>', 'default: this machine')

const at = ({ machine }: On): object => (machine === undefined ? {} : { machine })

function list(): Command {
  return onMachine('list', 'list the servers that are defined, through Rookery or in files of agents').action(
    async (options: On) => {
      const servers = await ask<McpServer[]>(options, 'mcp.list', at(options))
      print(options, servers.map(wireServer), () =>
        servers.length === 0
          ? ['No MCP server is defined. Add one: rookery mcp add <name> -- <command> [arguments]']
          : table([['NAME', 'STATUS', 'TOOLS', 'RUNS', 'DEFINED IN'], ...servers.map(row)]),
      )
    },
  )
}

const row = (server: McpServer): string[] => [
  server.name,
  statusOf(server),
  server.status === 'running' ? String(server.toolsCount) : '-',
  whatRuns(server),
  server.source ?? 'rookery',
]

const statusOf = ({ status, isApproved }: McpServer): string =>
  isApproved ? status : status === 'stopped' ? 'needs approval' : `${status}, needs approval`

const whatRuns = ({ command: file, args, url }: McpServer): string =>
  plain(url ?? [file, ...args].map(quoted).join(' '))

/** So that one argument can be told from two. */
const quoted = (said: string | null): string =>
  said === null ? '' : /^[\w@%+=:,./-]+$/.test(said) ? said : JSON.stringify(said)

/** Definitions and servers are others' words: none of them reaches the terminal as a command to it. */
// oxlint-disable-next-line no-control-regex -- that is what is taken out
const plain = (said: string): string => said.replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g, '\ufffd')

function show(): Command {
  return onMachine('show', 'tell everything about a server but its secrets')
    .argument('<name>')
    .action(async (name: string, options: On) => {
      const server = await ask<McpServer>(options, 'mcp.show', { ...at(options), name })
      print(options, wireServer(server), () => linesOf(server))
    })
}

function linesOf(server: McpServer): string[] {
  const facts: [string, string | null][] = [
    ['name', server.name],
    ['status', statusOf(server)],
    ['runs', whatRuns(server)],
    ['in', server.transport === 'stdio' ? (server.cwd ?? 'the home directory') : null],
    ['environment', server.envNames.join(', ') || null],
    ['headers', server.headerNames.join(', ') || null],
    ['defined in', server.source ?? 'rookery'],
    ['fingerprint', server.fingerprint],
    ['starts with the node', server.autoStart ? 'yes' : 'no'],
    ['tools', server.status === 'running' ? String(server.toolsCount) : null],
    ['started', server.lastStartedAt],
    ['next try', server.nextTryAt],
    ['problem', server.problem],
  ]
  const rows = facts.flatMap(([name, value]) => (value === null ? [] : [[name, plain(value)]]))
  return [
    ...table(rows),
    ...(server.stderr.length === 0 ? [] : ['', 'It said last:', ...server.stderr.map((line) => `  ${plain(line)}`)]),
  ]
}

type Definition = {
  displayName?: string
  url?: string
  env: string[]
  envFile?: string
  header: string[]
  headerFile?: string
  cwd?: string
  autoStart?: boolean
}

const defining = (sub: Command): Command =>
  sub
    .option('--display-name <text>', 'what people see')
    .option('--url <address>', 'ask a server over streamable HTTP instead of running a command')
    .option('--env <NAME=value>', 'for its environment (may be repeated); secrets belong into --env-file', collect, [])
    .option('--env-file <file>', 'lines NAME=value for its environment; - reads them from standard input')
    .option(
      '--header <Name: value>',
      'for requests to the url (may be repeated); secrets belong into --header-file',
      collect,
      [],
    )
    .option('--header-file <file>', 'lines Name: value for requests to the url; - reads them from standard input')
    .option('--cwd <directory>', 'where it runs; default: the home directory')
    .option('--auto-start', 'start it with the node, and now')
    .option('--no-auto-start', 'start it only when asked to')

function add(): Command {
  return defining(onMachine('add', 'define a server: rookery mcp add <name> -- <command> [arguments]'))
    .argument('<name>')
    .argument('[command...]', 'after --: what runs; no shell reads it')
    .action(async (name: string, line: string[], options: On & Definition) => {
      const server = await ask<McpServer>(options, 'mcp.add', {
        ...at(options),
        input: { name, ...(await definitionOf(line, options)) },
      })
      print(options, wireServer(server), () => defined(server))
    })
}

function set(): Command {
  return defining(onMachine('set', 'change a server; what is not given stays'))
    .argument('<name>')
    .argument('[command...]', 'after --: what runs instead')
    .action(async (name: string, line: string[], options: On & Definition) => {
      const change = await definitionOf(line, options)
      const server = await ask<McpServer>(options, 'mcp.set', { ...at(options), name, change })
      print(options, wireServer(server), () => defined(server))
    })
}

const defined = (server: McpServer): string[] => [
  `${server.name} runs ${whatRuns(server)}.`,
  ...(server.isApproved
    ? server.autoStart
      ? []
      : [`Start it: rookery mcp start ${server.name}`]
    : [plain(server.problem ?? '')]),
]

async function definitionOf([file, ...args]: string[], options: Definition & On): Promise<object> {
  const { displayName, url, cwd, autoStart } = options
  const env = await pairs(options.env, options.envFile, '=')
  const headers = await pairs(options.header, options.headerFile, ':')
  return {
    ...(file === undefined ? {} : { command: file, args }),
    ...(displayName === undefined ? {} : { displayName }),
    ...(url === undefined ? {} : { url }),
    ...(env === undefined ? {} : { env }),
    ...(headers === undefined ? {} : { headers }),
    // A relative path can only mean a folder of this machine.
    ...(cwd === undefined ? {} : { cwd: options.machine === undefined ? resolve(cwd) : cwd }),
    ...(autoStart === undefined ? {} : { autoStart }),
  }
}

async function pairs(given: readonly string[], file: string | undefined, sign: string): Promise<object | undefined> {
  if (given.length === 0 && file === undefined) return undefined
  const lines =
    file === undefined ? [] : (await readLines(file)).filter((line) => line.trim() !== '' && !line.startsWith('#'))
  return Object.fromEntries([...given, ...lines].map((line) => pair(line, sign)))
}

function pair(line: string, sign: string): [string, string] {
  const end = line.indexOf(sign)
  // What stands there may be half a secret: it is not repeated.
  if (end < 1) throw new CommandFailure(`Give a name, "${sign}" and a value on each line.`, EXIT.usage)
  const value = line.slice(end + 1)
  return [line.slice(0, end).trim(), sign === ':' ? value.trim() : value]
}

async function readLines(file: string): Promise<string[]> {
  if (file === '-') return (await text(process.stdin)).split(/\r?\n/)
  try {
    return (await readFile(file, 'utf8')).split(/\r?\n/)
  } catch (cause) {
    throw new CommandFailure(
      `${file} cannot be read: ${cause instanceof Error ? cause.message : String(cause)}`,
      EXIT.usage,
    )
  }
}

function approve(): Command {
  return command('approve', 'let a server run on this machine, exactly as it is defined now')
    .argument('<name>')
    .option('--fingerprint <text>', 'only if the definition is still the one with this fingerprint')
    .action(async (name: string, options: CommonOptions & { fingerprint?: string }) => {
      const { fingerprint } = options
      const server = await ask<McpServer>(options, 'mcp.approve', {
        name,
        ...(fingerprint === undefined ? {} : { fingerprint }),
      })
      print(options, wireServer(server), () => [
        `${server.name} may run ${whatRuns(server)}.`,
        'When its definition changes, it needs approval again.',
      ])
    })
}

function start(): Command {
  return onMachine('start', 'start a server')
    .argument('<name>')
    .action(async (name: string, options: On) => {
      const server = await ask<McpServer>(options, 'mcp.start', { ...at(options), name })
      print(options, wireServer(server), () => [
        server.status === 'running'
          ? `${server.name} runs, with ${server.toolsCount} tools.`
          : `${server.name} is still starting: rookery mcp show ${server.name}`,
      ])
    })
}

function stop(): Command {
  return onMachine('stop', 'stop a server with everything it started')
    .argument('<name>')
    .action(async (name: string, options: On) => {
      const server = await ask<McpServer>(options, 'mcp.stop', { ...at(options), name })
      print(options, wireServer(server), () => [`${server.name} is stopped.`])
    })
}

function tools(): Command {
  return onMachine('tools', 'list the tools of a server, or of all that run')
    .argument('[name]')
    .action(async (name: string | undefined, options: On) => {
      if (name === undefined) {
        const all = await ask<McpServerTool[]>(options, 'mcp.tools', at(options))
        print(options, all.map(wireServerTool), () =>
          table([['SERVER', 'TOOL', 'DESCRIPTION'], ...all.map((tool) => [tool.server, ...told(tool)])]),
        )
        return
      }
      const its = await ask<McpTool[]>(options, 'mcp.tools', { ...at(options), name })
      print(options, its.map(wireTool), () => table([['TOOL', 'DESCRIPTION'], ...its.map(told)]))
    })
}

const DESCRIPTION_CHARS = 80
function told({ name, description }: McpTool): string[] {
  const line = plain(description.split('\n', 1)[0] ?? '')
  return [plain(name), line.length > DESCRIPTION_CHARS ? `${line.slice(0, DESCRIPTION_CHARS - 1)}…` : line]
}

function call(): Command {
  return onMachine('call', 'call a tool and print what it answers')
    .argument('<name>')
    .argument('<tool>')
    .argument('[arguments]', 'a JSON object; - reads it from standard input', '{}')
    .option('--timeout <duration>', 'how long it may take, like 90s; at most 10m', parseDuration, 60_000)
    .action(async (name: string, tool: string, said: string, options: On & { timeout: number }) => {
      const args = parseArguments(said === '-' ? await text(process.stdin) : said)
      const request = { ...at(options), name, tool, args, timeoutMs: options.timeout }
      const result = await ask<McpResult>(options, 'mcp.call', request)
      print(options, wireResult(result), () => [
        plain(result.content),
        ...(result.truncated ? ['[there was more than an answer holds]'] : []),
      ])
    })
}

function parseArguments(said: string): object {
  try {
    const args: unknown = JSON.parse(said)
    if (typeof args === 'object' && args !== null && !Array.isArray(args)) return args
  } catch {
    // said below
  }
  throw new InvalidArgumentError('Give the arguments as a JSON object, like \'{"path":"/tmp"}\'.')
}

function remove(): Command {
  return onMachine('remove', 'stop a server and forget its definition')
    .argument('<name>')
    .action(async (name: string, options: On) => {
      await ask<null>(options, 'mcp.remove', { ...at(options), name })
      print(options, null, () => [`${name} is gone.`])
    })
}
