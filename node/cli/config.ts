import { readFile } from 'node:fs/promises'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { z } from 'zod'
import { MemberName } from '../../protocols/membership/records.ts'
import { isLoopbackHost } from '../adapters/loopback.ts'
import { LOG_LEVELS } from '../ports/log.ts'
import { CommandFailure, EXIT } from './exit.ts'
import { Mail, OAuth, PublicUrl } from './sign-in-config.ts'
import { AgentCommand } from '../services/sessions/agent-commands.ts'

/** Texts and keys go there: in the clear to this host only. */
const ModelUrl = z
  .url({ protocol: /^https?$/ })
  .max(2048)
  .refine((url) => {
    const { protocol, hostname: host, username, search } = new URL(url)
    return (protocol === 'https:' || isLoopbackHost(host)) && username === '' && search === ''
  }, 'must be an https address, or http on loopback, without user or query')
const KeyFile = z
  .string()
  .startsWith('/', 'must be an absolute path')
  .max(4096)
  .optional()
  .describe('File (mode 0600) that holds the API key and nothing else.')

const PemFile = z.string().startsWith('/', 'must be an absolute path').max(4096).optional()

/** Everything an operator can set. Every field has a safe default. */
export const Config = z.strictObject({
  name: MemberName.optional().describe(
    'Name of this machine in the mesh; default: the one it joined with, else its host name.',
  ),
  http: z
    .strictObject({
      host: z.string().min(1).default('127.0.0.1').describe('Address the gateway binds.'),
      port: z.int().min(0).max(65535).default(8000).describe('Port the gateway binds; 0 chooses a free one.'),
      hosts: z.array(z.string().min(1)).max(32).default([]).describe('Further Host names the gateway answers to.'),
      origins: z.array(z.url()).max(32).default([]).describe('Further browser origins that may call the gateway.'),
      publicUrl: PublicUrl,
      trustedProxies: z
        .array(z.string().min(1))
        .max(32)
        .default([])
        .describe('Addresses of TLS-terminating proxies in front; permits binding an address other than loopback.'),
      tls: z
        .enum(['off', 'auto'])
        .default('off')
        .describe('auto: serve TLS with a certificate that the node makes and renews itself (or certFile).'),
      certFile: PemFile.describe('Certificate (PEM, with its chain) to serve TLS with, in place of a self-made one.'),
      keyFile: PemFile.describe('Its private key (PEM).'),
      rateLimits: z
        .strictObject({
          authentication: z.int().min(1).default(10),
          pairing: z.int().min(1).default(10),
          api: z.int().min(1).default(1000),
          websocket: z.int().min(1).default(10),
        })
        .prefault({})
        .describe('Requests per minute: signing in, pairing, the API, WebSocket connections.'),
    })
    .refine(({ certFile, keyFile }) => (certFile === undefined) === (keyFile === undefined), {
      message: 'certFile and keyFile go together',
      path: ['certFile'],
    })
    .prefault({}),
  alwaysOn: z
    .boolean()
    .default(false)
    .describe('This machine is never switched off or suspended: a good voter (`rookery voters`).'),
  gateway: z.boolean().default(true).describe('Serve HTTP, WebSocket and the page.'),
  p2p: z
    .strictObject({
      listen: z
        .array(z.string().startsWith('/'))
        .max(16)
        .default([])
        .describe('Multiaddrs to listen on; default: all addresses, a port chosen at the first start and kept.'),
      mdns: z.boolean().default(true).describe('Find members on the local network.'),
      relay: z
        .enum(['auto', 'on', 'off'])
        .default('auto')
        .describe('Carry connections between members that cannot reach each other; auto: when publicly reachable.'),
      dht: z.boolean().default(true).describe('Look up members that moved among the others, and answer them.'),
    })
    .prefault({}),
  registration: z.enum(['closed', 'open']).default('closed').describe('Who may register once there is a first user.'),
  mail: Mail,
  oauth: OAuth,
  sessions: z
    .strictObject({
      max: z.int().min(0).max(1000).default(10).describe('Sessions that may run on this machine at once.'),
      remote: z.boolean().default(true).describe('Accept sessions asked for by other members with `control`.'),
      staleAfterMs: z
        .int()
        .min(1000)
        .max(366 * 24 * 3_600_000)
        .default(72 * 3_600_000)
        .describe('The staleness limit: run nothing for other members after so long without an admin or most voters.'),
      agents: z
        .record(z.string().regex(/^[a-z][a-z0-9_-]{0,63}$/, 'must be a name in small letters'), AgentCommand)
        .refine((agents) => !Object.hasOwn(agents, 'shell'), 'the name shell is taken')
        .default({})
        .describe('How agent CLIs are run, by name: file, and the arguments of each mode.'),
    })
    .prefault({}),
  commands: z
    .strictObject({
      remote: z.boolean().default(true).describe('Run commands for other members with `control`.'),
      concurrent: z.int().min(1).max(64).default(4).describe('Commands that run at once; further ones wait.'),
      timeLimitMs: z
        .int()
        .min(1000)
        .max(7 * 24 * 3_600_000)
        .default(3_600_000)
        .describe('A command that runs for longer is ended.'),
    })
    .prefault({}),
  mcp: z
    .strictObject({
      remote: z
        .boolean()
        .default(true)
        .describe(
          'Let members with `control` see, start and use the MCP servers of this machine; approving is done on it.',
        ),
      discover: z.boolean().default(true).describe('List the MCP servers that files of agents define.'),
      max: z.int().min(0).max(200).default(20).describe('MCP servers that may run on this machine at once.'),
    })
    .prefault({}),
  skills: z
    .strictObject({
      remote: z
        .enum(['write', 'read', 'off'])
        .default('write')
        .describe(
          'What other members may do with the skills on this machine. A skill can run commands: without sessions.remote they only read.',
        ),
    })
    .prefault({}),
  lease: z
    .strictObject({
      ttlMs: z.int().min(1000).max(600_000).default(60_000).describe('Length of a renewed lease.'),
      holdMs: z.int().min(500).max(60_000).default(10_000).describe('Length of the first grant of a lease.'),
    })
    .prefault({}),
  context: z
    .strictObject({
      embedder: z
        .strictObject({
          api: z.enum(['openai', 'ollama']).describe('How it is asked: /embeddings below the URL, or /api/embed.'),
          url: ModelUrl,
          model: z.string().min(1).max(256),
          keyFile: KeyFile,
          dimensions: z.int().min(1).max(16_384).optional().describe('Shorter vectors, where the model offers them.'),
        })
        .optional()
        .describe('Finds chunks of the context by what they mean; without it search compares words.'),
      model: z
        .strictObject({
          api: z.enum(['openai', 'anthropic']).describe('How it is asked: /chat/completions, or /v1/messages.'),
          url: ModelUrl,
          model: z.string().min(1).max(256),
          keyFile: KeyFile,
        })
        .optional()
        .describe('Summarises the context; without it the agent CLI claude does, where it is installed.'),
      agentCli: z.boolean().default(true).describe('Let the agent CLI claude summarise where no model is set.'),
    })
    .prefault({}),
  log: z.strictObject({ level: z.enum(LOG_LEVELS).default('warn') }).prefault({}),
})
export type Config = z.infer<typeof Config>

export type ConfigSource = 'default' | 'file' | 'environment' | 'flag'

/** Where each value that is not a default came from, by dotted path. */
export type ConfigSources = Readonly<Record<string, ConfigSource>>

/** The effective configuration and where it came from. */
export type LoadedConfig = { readonly config: Config; readonly sources: ConfigSources }

/** Ends the program as wrong usage does; the message names field, place and problem. */
class ConfigError extends CommandFailure {
  constructor(message: string, options?: ErrorOptions) {
    super(message, EXIT.usage)
    this.cause = options?.cause
  }
}

/** Secrets have no variable: a child process of the same user can read a process's environment. */
const ENVIRONMENT: Readonly<Record<string, string>> = {
  ROOKERY_NAME: 'name',
  ROOKERY_HTTP_HOST: 'http.host',
  ROOKERY_HTTP_PORT: 'http.port',
  ROOKERY_REGISTRATION: 'registration',
  ROOKERY_LOG_LEVEL: 'log.level',
}

/** What a machine is called that nobody has named. */
export const hostName = (): string => hostname().slice(0, 64) || 'machine'

/** Flags as dotted paths (`http.port`) with their values. */
export type ConfigFlags = Readonly<Record<string, unknown>>

/**
 * `config.json` in the data directory, then environment, then flags.
 * @throws ConfigError naming the field, where it was set, and what is wrong.
 */
export async function loadConfig(
  dataDir: string,
  environment: NodeJS.ProcessEnv,
  flags: ConfigFlags,
): Promise<LoadedConfig> {
  const values: Record<string, unknown> = {}
  const sources: Record<string, ConfigSource> = {}
  const path = join(dataDir, 'config.json')
  for (const [key, value] of flattenConfig(await readConfigFile(path))) set(key, value, 'file')
  for (const [variable, key] of Object.entries(ENVIRONMENT)) {
    const value = environment[variable]
    // Empty is how a unit or a compose file says that it is not set.
    if (value !== undefined && value !== '') set(key, key === 'http.port' ? Number(value) : value, 'environment')
  }
  for (const [key, value] of Object.entries(flags)) if (value !== undefined) set(key, value, 'flag')
  const parsed = Config.safeParse(unflatten(values))
  if (parsed.success) return { config: parsed.data, sources }
  const problems = parsed.error.issues.map((issue) => {
    const field = issue.path.join('.')
    return `${field || 'configuration'} (${sources[field] === 'file' ? path : (sources[field] ?? path)}): ${issue.message}`
  })
  throw new ConfigError(`The configuration is not valid.\n  ${problems.join('\n  ')}`)

  function set(key: string, value: unknown, source: ConfigSource): void {
    values[key] = value
    sources[key] = source
  }
}

async function readConfigFile(path: string): Promise<unknown> {
  let text: string
  try {
    text = await readFile(path, 'utf8')
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined
    // ENOTDIR: the data directory itself cannot be; opening it says so better.
    if (code === 'ENOENT' || code === 'ENOTDIR') return {}
    throw new ConfigError(`${path} cannot be read.`, { cause: error })
  }
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw new ConfigError(`${path} is not JSON: ${cause instanceof Error ? cause.message : String(cause)}`, { cause })
  }
}

/** Dotted paths with their values; lists are values. */
export function flattenConfig(value: unknown, prefix = ''): [string, unknown][] {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return [[prefix, value]]
  return Object.entries(value).flatMap(([key, inner]) => flattenConfig(inner, prefix === '' ? key : `${prefix}.${key}`))
}

const isGroup = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null

function unflatten(values: Readonly<Record<string, unknown>>): object {
  // Without a prototype, so that a key `__proto__` in the file is a key like any other (and refused as unknown).
  const bare = (): Record<string, unknown> => Object.create(null)
  const root = bare()
  for (const [path, value] of Object.entries(values)) {
    const keys = path.split('.')
    const last = keys.pop() ?? path
    // Where the file has a plain value in place of a group, that stays, and is found to be wrong.
    const group = keys.reduce<unknown>((at, key) => (isGroup(at) ? (at[key] ??= bare()) : at), root)
    if (isGroup(group)) group[last] = value
  }
  return root
}
