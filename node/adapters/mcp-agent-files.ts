import { isAbsolute, join, resolve } from 'node:path'
import { parse as parseJsonc } from 'jsonc-parser'
import { parse as parseToml } from 'smol-toml'
import { z } from 'zod'
import { McpProgram } from '../../crdt/mcp.ts'

export type AgentFormat = 'claude' | 'codex' | 'opencode'

export type FileContext = {
  /** The folder that the file belongs to; null for the person's own file. */
  readonly folder: string | null
  readonly home: string
  /** What a definition may refer to. Nothing else of the node's environment is told. */
  readonly variables: Readonly<Record<string, string>>
}

export type FoundServer = { readonly name: string; readonly program: McpProgram; readonly problem: string | null }

export type ReadServers = (text: string, context: FileContext) => FoundServer[]

/** What each agent writes into its file. All throw when the text is not of their format. */
export const AGENT_FORMATS: Readonly<Record<AgentFormat, ReadServers>> = {
  claude: readClaude,
  codex: readCodex,
  opencode: readOpencode,
}

const texts = z.record(z.string(), z.string()).default({})
const servers = z.record(z.string(), z.unknown()).default({})

const ClaudeServer = z.object({
  type: z.enum(['stdio', 'http', 'sse', 'streamable-http']).optional(),
  command: z.string().optional(),
  args: z.array(z.string()).default([]),
  env: texts,
  url: z.string().optional(),
  headers: texts,
})
const ClaudeFile = z.object({
  mcpServers: servers,
  projects: z.record(z.string(), z.object({ mcpServers: servers }).catch({ mcpServers: {} })).default({}),
})

function readClaude(text: string, context: FileContext): FoundServer[] {
  const file = ClaudeFile.parse(JSON.parse(text))
  const read = (all: Record<string, unknown>, folder: string | null): FoundServer[] =>
    Object.entries(all).map(([name, said]) => claudeServer(name, said, { ...context, folder }))
  const ofProjects = context.folder === null ? Object.entries(file.projects) : []
  return [
    ...read(file.mcpServers, context.folder),
    // The person's own, for one folder.
    ...ofProjects.flatMap(([folder, { mcpServers }]) => read(mcpServers, isAbsolute(folder) ? folder : null)),
  ]
}

function claudeServer(name: string, said: unknown, context: FileContext): FoundServer {
  const parsed = ClaudeServer.safeParse(said)
  if (!parsed.success) return unreadable(name)
  const { type, command, args, env, url, headers } = parsed.data
  const fill = createFiller(context, /\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}/g)
  if (url !== undefined && command === undefined) {
    const problem = type === 'sse' ? OLD_TRANSPORT : null
    return found(
      name,
      { transport: 'http', url: fill.text(url), headers: fill.texts(headers) },
      fill.problem() ?? problem,
    )
  }
  if (command === undefined) return unreadable(name)
  const file = programFile(fill.text(command), context)
  return found(name, stdio(context, { command: file, args: args.map(fill.text), env: fill.texts(env) }), fill.problem())
}

const CodexServer = z.object({
  command: z.string().optional(),
  args: z.array(z.string()).default([]),
  env: texts,
  cwd: z.string().optional(),
  url: z.string().optional(),
  http_headers: texts,
  bearer_token_env_var: z.string().optional(),
  env_http_headers: texts,
  enabled: z.boolean().default(true),
})
const CodexFile = z.object({ mcp_servers: servers })

function readCodex(text: string, context: FileContext): FoundServer[] {
  const file = CodexFile.parse(parseToml(text))
  return Object.entries(file.mcp_servers).flatMap(([name, said]) => {
    const parsed = CodexServer.safeParse(said)
    if (!parsed.success) return [unreadable(name)]
    const { command, args, env, cwd, url, http_headers: headers, bearer_token_env_var: token, enabled } = parsed.data
    if (!enabled) return []
    if (command !== undefined) {
      const folder = cwd === undefined ? context.folder : resolve(context.folder ?? context.home, cwd)
      return [found(name, stdio({ ...context, folder }, { command: programFile(command, context), args, env }), null)]
    }
    if (url === undefined) return [unreadable(name)]
    const wanted = [token, ...Object.values(parsed.data.env_http_headers)].filter((one) => one !== undefined)
    return [found(name, { transport: 'http', url, headers }, wanted.length === 0 ? null : missing(wanted))]
  })
}

const OpencodeServer = z.discriminatedUnion('type', [
  z.object({
    type: z.literal('local'),
    command: z.array(z.string()).min(1),
    environment: texts,
    cwd: z.string().optional(),
    enabled: z.boolean().default(true),
  }),
  z.object({ type: z.literal('remote'), url: z.string(), headers: texts, enabled: z.boolean().default(true) }),
])
const OpencodeFile = z.object({ mcp: servers })

function readOpencode(text: string, context: FileContext): FoundServer[] {
  const file = OpencodeFile.parse(parseJsonc(text, undefined, { allowTrailingComma: true }))
  return Object.entries(file.mcp).flatMap(([name, said]) => {
    const parsed = OpencodeServer.safeParse(said)
    if (!parsed.success) return [unreadable(name)]
    const fill = createFiller(context, /\{env:([A-Za-z_][A-Za-z0-9_]*)\}/g)
    const { data } = parsed
    if (!data.enabled) return []
    if (data.type === 'remote')
      return [
        found(name, { transport: 'http', url: fill.text(data.url), headers: fill.texts(data.headers) }, fill.problem()),
      ]
    const [file = '', ...args] = data.command.map(fill.text)
    const folder = data.cwd === undefined ? context.folder : resolve(context.folder ?? context.home, data.cwd)
    const said_ = { command: programFile(file, context), args, env: fill.texts(data.environment) }
    return [found(name, stdio({ ...context, folder }, said_), fill.problem())]
  })
}

type Said = { readonly command: string; readonly args: string[]; readonly env: Record<string, string> }

const stdio = ({ folder }: Pick<FileContext, 'folder'>, said: Said): McpProgram => ({
  transport: 'stdio',
  ...said,
  cwd: folder,
})

/** A program of the project is meant from its folder; a bare name is looked up when it runs. */
const programFile = (command: string, { folder, home }: FileContext): string =>
  command.startsWith('~/')
    ? join(home, command.slice(2))
    : command.includes('/') && !isAbsolute(command)
      ? resolve(folder ?? home, command)
      : command

/** Replaces references to variables; those that may not be told, or are not set, are what is wrong. */
function createFiller({ variables }: FileContext, pattern: RegExp) {
  const unset = new Set<string>()
  const text = (said: string): string =>
    said.replace(pattern, (whole, name: string, otherwise?: string) => {
      const value = variables[name] ?? otherwise
      if (value === undefined) unset.add(name)
      return value ?? whole
    })
  return {
    text,
    texts: (all: Readonly<Record<string, string>>): Record<string, string> =>
      Object.fromEntries(Object.entries(all).map(([name, value]) => [name, text(value)])),
    problem: (): string | null => (unset.size === 0 ? null : missing([...unset])),
  }
}

const missing = (names: readonly string[]): string =>
  `It needs ${names.join(', ')} of the environment, which a node does not hand on. Add a server of your own with these values (\`rookery mcp add\`).`

const OLD_TRANSPORT =
  'It speaks the old transport of two streams (sse), which is not supported: ask for streamable HTTP.'

/** Checked like all that was not written by us; what does not fit is shown, and cannot run. */
function found(name: string, program: McpProgram, problem: string | null): FoundServer {
  const parsed = McpProgram.safeParse(program)
  return parsed.success ? { name, program: parsed.data, problem } : unreadable(name)
}

const unreadable = (name: string): FoundServer => ({
  name,
  program: { transport: 'stdio', command: 'unknown', args: [name], env: {}, cwd: null },
  problem: 'Its definition is not one that Rookery understands.',
})
