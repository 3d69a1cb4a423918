import { MCP_HIDDEN, type McpChange, type McpProgram } from '../../../crdt/mcp.ts'
import { domainError, type DomainError } from '../../../crdt/errors.ts'
import { err, ok, type Result } from '../../../crdt/result.ts'

/**
 * Variables that make a program, its interpreter or its tools run something else than what was approved. Compared without
 * regard to case, as npm reads its own.
 */
const LOADERS: readonly RegExp[] = [
  /^(LD|DYLD|GIT|BASH_FUNC)_/,
  /^(BASH_ENV|ENV|SHELLOPTS|BASHOPTS|IFS|CDPATH|PS4|PROMPT_COMMAND|ZDOTDIR)$/,
  /^NODE_(OPTIONS|PATH|REPL_EXTERNAL_MODULE)$/,
  /^(NPM|YARN|PNPM)_CONFIG_(NODE_OPTIONS|SCRIPT_SHELL|SHELL|GIT|USERCONFIG|GLOBALCONFIG|ONLOAD_SCRIPT|NODE_GYP)$/,
  /^(DENO|BUN)_(INSTALL_ROOT|OPTIONS|PRELOAD)$/,
  /^PYTHON(STARTUP|PATH|HOME|INSPECT|WARNINGS|BREAKPOINT|USERBASE)$/,
  /^(PERL5?(OPT|LIB|DB)|PERLLIB|RUBYOPT|RUBYLIB|GEM_PATH|GEM_HOME|LUA_INIT|LUA_PATH|LUA_CPATH)$/,
  /^(_?JAVA_(TOOL_)?OPTIONS|JDK_JAVA_OPTIONS|CLASSPATH|DOTNET_STARTUP_HOOKS|CORECLR_PROFILER(_PATH)?)$/,
  /^(GLIBC_TUNABLES|GCONV_PATH|LOCPATH|NLSPATH|HOSTALIASES|RESOLV_HOST_CONF|MALLOC_CHECK_|OPENSSL_CONF|SSLKEYLOGFILE)$/,
  /^ROOKERY_/,
]

const isLoader = (name: string): boolean => LOADERS.some((pattern) => pattern.test(name.toUpperCase()))

type Problems = Record<string, string[]>

/** What this machine does not run, whoever asks; undefined where there is nothing to say against it. */
export function programProblem(program: McpProgram): DomainError | undefined {
  const fields = program.transport === 'stdio' ? commandProblems(program) : addressProblems(program)
  return Object.keys(fields).length === 0 ? undefined : domainError('invalid_input', { details: { fields } })
}

function commandProblems({ command, env }: McpProgram & { transport: 'stdio' }): Problems {
  const problems: Problems = {}
  if (!command.startsWith('/') && !/^[A-Za-z0-9._+-]+$/.test(command))
    problems['command'] = [
      'Must be an absolute path, or the name of a program on the PATH of the node. Arguments belong into args: no shell reads them.',
    ]
  for (const name of Object.keys(env))
    if (isLoader(name))
      problems[`env.${name}`] = [`${name} can make another program run than the one that was approved: it is refused.`]
  return problems
}

function addressProblems({ url, headers }: McpProgram & { transport: 'http' }): Problems {
  const parsed = URL.parse(url)
  if (parsed === null || !['https:', 'http:'].includes(parsed.protocol))
    return { url: ['Must be an address like https://host/mcp.'] }
  if (parsed.username !== '' || parsed.password !== '')
    return { url: ['Must not hold a user or password: send a header instead.'] }
  const own = Object.keys(headers).find((name) => FIXED_HEADERS.has(name.toLowerCase()))
  return own === undefined ? {} : { [`headers.${own}`]: ['Is set by the connection itself.'] }
}

const FIXED_HEADERS = new Set(
  'accept content-type content-length host connection transfer-encoding mcp-session-id mcp-protocol-version last-event-id'.split(
    ' ',
  ),
)

/** The program that a change makes of another, or of nothing. @errors invalid_input */
export function changedProgram(before: McpProgram | undefined, change: McpChange): Result<McpProgram> {
  const { command, url } = change
  const isHttp = url !== undefined || (command === undefined && before?.transport === 'http')
  if (command !== undefined && url !== undefined) return refused({ url: ['Give either a command or a url, not both.'] })
  if (isHttp) return httpProgram(before?.transport === 'http' ? before : undefined, change)
  return stdioProgram(before?.transport === 'stdio' ? before : undefined, change)
}

type Http = McpProgram & { transport: 'http' }
type Stdio = McpProgram & { transport: 'stdio' }

function httpProgram(before: Http | undefined, change: McpChange): Result<McpProgram> {
  const url = change.url ?? before?.url
  const extra = (['args', 'env', 'cwd'] as const).filter((field) => change[field] !== undefined)
  if (extra.length > 0)
    return refused(Object.fromEntries(extra.map((field) => [field, ['Belongs to a command, not to a url.']])))
  if (url === undefined) return refused({ url: ['The url field is required.'] })
  const headers = unhidden('headers', change.headers, before?.headers)
  if (!headers.ok) return headers
  return checked({ transport: 'http', url: withSecrets(url, before?.url), headers: headers.value })
}

function stdioProgram(before: Stdio | undefined, change: McpChange): Result<McpProgram> {
  const command = change.command ?? before?.command
  if (change.headers !== undefined) return refused({ headers: ['Belong to a url, not to a command.'] })
  if (command === undefined)
    return refused({ command: ['The command field is required (or url, for a server elsewhere).'] })
  const env = unhidden('env', change.env, before?.env)
  if (!env.ok) return env
  return checked({
    transport: 'stdio',
    command,
    args: change.args ?? before?.args ?? [],
    env: env.value,
    cwd: change.cwd === undefined ? (before?.cwd ?? null) : change.cwd,
  })
}

function checked(program: McpProgram): Result<McpProgram> {
  const problem = programProblem(program)
  return problem ? err(problem) : ok(program)
}

type Named = Readonly<Record<string, string>>

/** Whoever sends back what was shown keeps the secrets that were not. */
function unhidden(field: string, given: Named | undefined, before: Named = {}): Result<Record<string, string>> {
  if (given === undefined) return ok({ ...before })
  const values: Record<string, string> = {}
  for (const [name, value] of Object.entries(given)) {
    const kept = value === MCP_HIDDEN ? before[name] : value
    if (kept === undefined)
      return refused({ [`${field}.${name}`]: [`${MCP_HIDDEN} keeps a value, and there is none yet.`] })
    values[name] = kept
  }
  return ok(values)
}

/** The address as it was when it comes back as it was shown. */
const withSecrets = (url: string, before: string | undefined): string =>
  before !== undefined && shownUrl(before) === url ? before : url

/** A key may be in the query. */
export function shownUrl(url: string): string {
  const parsed = URL.parse(url)
  if (parsed === null) return MCP_HIDDEN
  const names = [...new Set(parsed.searchParams.keys())].map((name) => `${encodeURIComponent(name)}=${MCP_HIDDEN}`)
  return `${parsed.origin}${parsed.pathname}${names.length === 0 ? '' : `?${names.join('&')}`}`
}

const refused = (fields: Problems): { readonly ok: false; readonly error: DomainError } =>
  err(domainError('invalid_input', { details: { fields } }))

/** A token given by hand. */
export const hasAuthorization = (headers: Readonly<Record<string, string>>): boolean =>
  Object.keys(headers).some((name) => name.toLowerCase() === 'authorization')
