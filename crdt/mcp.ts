import { z } from 'zod'
import { MachineId } from './ids.ts'

/** `error`: it did not start, or has crashed; see `problem` and, while it is tried again, `nextTryAt`. */
export const MCP_STATUSES = ['stopped', 'starting', 'running', 'error'] as const
export type McpStatus = (typeof MCP_STATUSES)[number]
export const MCP_TRANSPORTS = ['stdio', 'http'] as const

/** Stands in answers where a secret is; sent back in a change it means: as it is. */
export const MCP_HIDDEN = '***'

const ARGS_MAX = 128
const NAMES_MAX = 64
const TEXT_CHARS_MAX = 32 * 1024
/** Arguments and environment together: what a system lets a program have is some 2 MB. */
const PROGRAM_CHARS_MAX = 256 * 1024
const PATH_CHARS_MAX = 4096

/** Part of addresses. `all-tools` is another documented address. */
export const McpName = z
  .string()
  .regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/, 'must be 1 to 64 letters, digits, dots, dashes and underscores')
  .refine((name) => name !== 'all-tools', 'is taken by the address of the tools of all servers')

const text = z
  .string()
  .max(TEXT_CHARS_MAX)
  .refine((said) => !said.includes('\0'), 'must not contain NUL')
const few = <V extends z.ZodType>(key: z.ZodType<string, string>, value: V) =>
  z.record(key, value).refine((all) => Object.keys(all).length <= NAMES_MAX, `must not have more than ${NAMES_MAX}`)

/** What the environment of a server may be called; which names are refused is the machine's business. */
export const McpEnv = few(z.string().regex(/^[A-Za-z_][A-Za-z0-9_]{0,127}$/, 'must be names of variables'), text)
export const McpHeaders = few(
  z.string().regex(/^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}$/, 'must be names of headers'),
  z
    .string()
    .max(8192)
    .regex(/^[\t\u0020-\u007e\u0080-\u00ff]*$/, 'must be the text of a header'),
)
export const McpCommand = text.min(1).max(PATH_CHARS_MAX)
export const McpArgs = z
  .array(text)
  .max(ARGS_MAX)
  .refine((args) => args.join('').length <= PROGRAM_CHARS_MAX, 'must not be longer than 256 kB together')
export const McpCwd = text.startsWith('/', 'must be an absolute path on the machine').max(PATH_CHARS_MAX)
export const McpUrl = z.string().max(2048)
export const McpDisplayName = z.string().trim().min(1).max(128)

/** What runs, or is asked, with its secrets. It never leaves the machine. */
export const McpProgram = z.discriminatedUnion('transport', [
  z.strictObject({
    transport: z.literal('stdio'),
    command: McpCommand,
    args: McpArgs,
    env: McpEnv,
    /** Null: the home directory. */
    cwd: McpCwd.nullable(),
  }),
  z.strictObject({ transport: z.literal('http'), url: McpUrl, headers: McpHeaders }),
])
export type McpProgram = z.infer<typeof McpProgram>

/** A server of one machine as everybody may see it: without the values of its environment and headers. */
export const McpServer = z.object({
  id: z.uuid(),
  machineId: MachineId,
  name: z.string().max(64),
  displayName: z.string().max(128),
  transport: z.enum(MCP_TRANSPORTS),
  command: z.string().nullable(),
  args: z.array(z.string()),
  cwd: z.string().nullable(),
  /** Without the values of its query. */
  url: z.string().nullable(),
  envNames: z.array(z.string()),
  headerNames: z.array(z.string()),
  autoStart: z.boolean(),
  /** The file of an agent in which the definition was found; null for one that was made through Rookery. */
  source: z.string().nullable(),
  /** Whether exactly this definition may run. */
  isApproved: z.boolean(),
  /** Keyed with a secret of the machine: what an approval is bound to. */
  fingerprint: z.string(),
  status: z.enum(MCP_STATUSES),
  problem: z.string().nullable(),
  /** The last lines it wrote to its standard error, oldest first. */
  stderr: z.array(z.string()),
  toolsCount: z.int().min(0),
  lastStartedAt: z.iso.datetime().nullable(),
  nextTryAt: z.iso.datetime().nullable(),
})
export type McpServer = z.infer<typeof McpServer>

export const McpTool = z.object({
  name: z.string(),
  description: z.string(),
  /** JSON Schema of the arguments. */
  parameters: z.record(z.string(), z.unknown()),
})
export type McpTool = z.infer<typeof McpTool>

/** A tool and the server that has it. */
export const McpServerTool = McpTool.extend({ server: z.string() })
export type McpServerTool = z.infer<typeof McpServerTool>

export const McpResult = z.object({
  /** All text blocks, a line each; of an answer without text the one image or sound (base64), link, or JSON. */
  content: z.string(),
  mimeType: z.string(),
  /** The blocks as the tool gave them. */
  blocks: z.array(z.record(z.string(), z.unknown())),
  structured: z.unknown(),
  /** There was more than an answer holds: text is cut, blocks are left out. */
  truncated: z.boolean(),
})
export type McpResult = z.infer<typeof McpResult>

/** What is told of a server that is not stopped, to every node. */
export const McpState = z.object({
  id: z.uuid(),
  status: z.enum(MCP_STATUSES),
  transport: z.enum(MCP_TRANSPORTS),
  toolsCount: z.int().min(0),
  lastStartedAt: z.iso.datetime().nullable(),
})
export type McpState = z.infer<typeof McpState>

/** Undefined: as it is. A value `***` keeps the secret that has the name already. */
export const McpInput = z.strictObject({
  name: McpName,
  displayName: McpDisplayName.optional(),
  command: McpCommand.optional(),
  args: McpArgs.optional(),
  env: McpEnv.optional(),
  cwd: McpCwd.nullable().optional(),
  url: McpUrl.optional(),
  headers: McpHeaders.optional(),
  autoStart: z.boolean().optional(),
})
export type McpInput = z.infer<typeof McpInput>
export const McpChange = McpInput.omit({ name: true })
export type McpChange = z.infer<typeof McpChange>
