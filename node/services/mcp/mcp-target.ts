import { z } from 'zod'
import { can, type Ability, type Actor } from '../../../crdt/actor.ts'
import { domainError, type DomainError } from '../../../crdt/errors.ts'
import { McpChange, McpInput, McpName, type McpResult, type McpServer, type McpServerTool } from '../../../crdt/mcp.ts'
import type { PeerId } from '../../../crdt/ids.ts'
import { err, ok, type Result } from '../../../crdt/result.ts'
import type { McpAction, McpDeps } from './mcp-deps.ts'
import type { Supervisor } from './supervisor.ts'

const TOOL_CHARS_MAX = 256
/** Arguments as JSON: an rpc frame holds 1 MB. */
const ARGS_CHARS_MAX = 900_000

/** JSON within a frame: what servers and their callers say may hold what the mesh's own encoding refuses. */
export const packed = <T extends z.ZodType>(schema: T) =>
  z
    .string()
    .transform((text, context): unknown => {
      try {
        return JSON.parse(text)
      } catch {
        context.addIssue({ code: 'custom', message: 'must be JSON' })
        return z.NEVER
      }
    })
    .pipe(schema)

const Named = z.strictObject({ name: McpName })
export const ExecuteRequest = z.strictObject({
  name: McpName,
  tool: z.string().min(1).max(TOOL_CHARS_MAX),
  args: z.string().max(ARGS_CHARS_MAX),
  timeoutMs: z.int().min(1).max(600_000).optional(),
})
/** Where the browser of whoever sits at the machine comes back to: a program of that person listens there (RFC 8252 7.3). */
export const LoopbackUrl = z.string().regex(/^http:\/\/127\.0\.0\.1:[0-9]{1,5}\/callback$/)
const word = z.string().min(1).max(8192)
export const Answer = z.strictObject({
  state: word,
  code: word.optional(),
  iss: word.optional(),
  error: word.optional(),
})
const Arguments = packed(z.record(z.string(), z.unknown()))

/** What each needs; whoever may approve decides what runs on the machine. */
export const MCP_ABILITY: Readonly<Record<McpAction, Ability>> = {
  'mcp.list': 'mcp:read',
  'mcp.get': 'mcp:read',
  'mcp.tools': 'mcp:read',
  'mcp.allTools': 'mcp:read',
  'mcp.add': 'mcp:write',
  'mcp.update': 'mcp:write',
  'mcp.remove': 'mcp:write',
  'mcp.start': 'mcp:write',
  'mcp.stop': 'mcp:write',
  'mcp.execute': 'mcp:execute',
  'mcp.approve': 'mcp:admin',
  'mcp.signIn': 'mcp:admin',
  'mcp.finishSignIn': 'mcp:admin',
  'mcp.signOut': 'mcp:admin',
}

const LOOKING: ReadonlySet<McpAction> = new Set(['mcp.list', 'mcp.get', 'mcp.tools', 'mcp.allTools'])

type Asked = { readonly actor: Actor; readonly from: PeerId; readonly signal: AbortSignal }

/**
 * Serves `mcp.*`: what this machine does with its servers when asked, by itself or by another member. The capability of
 * the caller and the audit of what is let through are the rpc's business.
 */
export function serveMcp(deps: McpDeps, supervisor: Supervisor): void {
  const { self, rpc, refusal, audit } = deps
  const serve = <I extends z.ZodType, O>(
    name: McpAction,
    input: I,
    run: (input: z.infer<I>, asked: Asked) => Promise<Result<O>>,
  ): void =>
    rpc.serve({
      name,
      input,
      needsRun: !LOOKING.has(name),
      run: async (actor, parsed, from, signal) => {
        const message = refusal({ action: name, actor, from })
        const refused = !can(actor, MCP_ABILITY[name])
          ? domainError('forbidden')
          : message === undefined
            ? undefined
            : domainError('machine_refused', { message })
        if (!refused) return await run(parsed, { actor, from, signal })
        await audit.record({ action: name, actor, from, outcome: 'denied' })
        return err(refused)
      },
    })
  /** What a person defines at the machine is meant to run there; of what comes from elsewhere that person must hear first. */
  const isTrusted = ({ actor, from }: Asked): boolean => from === self && can(actor, 'mcp:admin')

  serve('mcp.list', z.strictObject({}), async () => packedResult(await supervisor.list()))
  serve('mcp.get', Named, async ({ name }) => packedResult(await supervisor.get(name)))
  serve('mcp.tools', Named, async ({ name }) => packedResult(await supervisor.tools(name)))
  serve('mcp.allTools', z.strictObject({}), async () => packedResult(await supervisor.allTools()))
  serve('mcp.add', McpInput, async (input, asked) => packedResult(await supervisor.add(input, isTrusted(asked))))
  serve('mcp.update', z.strictObject({ name: McpName, change: McpChange }), async ({ name, change }, asked) =>
    packedResult(await supervisor.update(name, change, isTrusted(asked))),
  )
  serve('mcp.remove', Named, async ({ name }) => await supervisor.remove(name))
  serve('mcp.start', Named, async ({ name }) => packedResult(await supervisor.start(name)))
  serve('mcp.stop', Named, async ({ name }) => packedResult(await supervisor.stop(name)))
  serve('mcp.approve', Named.extend({ fingerprint: z.string().max(128).optional() }), async (input, { from }) =>
    from === self ? packedResult(await supervisor.approve(input.name, input.fingerprint)) : err(onlyHere('approve')),
  )
  serve('mcp.signIn', Named.extend({ redirectUrl: LoopbackUrl }), async ({ name, redirectUrl }, { from, signal }) =>
    from === self ? await supervisor.signIn(name, redirectUrl, signal) : err(onlyHere('sign-in')),
  )
  serve('mcp.finishSignIn', Named.extend({ answer: Answer }), async ({ name, answer }, { from, signal }) =>
    from === self ? packedResult(await supervisor.finishSignIn(name, answer, signal)) : err(onlyHere('sign-in')),
  )
  serve('mcp.signOut', Named, async ({ name }, { from }) =>
    from === self ? packedResult(await supervisor.signOut(name)) : err(onlyHere('sign-out')),
  )
  serve('mcp.execute', ExecuteRequest, async ({ name, tool, args, timeoutMs }, { signal }) => {
    const parsed = Arguments.safeParse(args)
    if (!parsed.success)
      return err(domainError('invalid_input', { details: { fields: { parameters: ['Must be an object.'] } } }))
    const call = { tool, args: parsed.data, ...(timeoutMs === undefined ? {} : { timeoutMs }) }
    return packedResult(await supervisor.execute(name, call, signal))
  })
}

/** What a machine runs, and as whom, is decided there. */
const onlyHere = (command: string): DomainError =>
  domainError('machine_refused', {
    message: `What runs on a machine, and as whom, is decided on that machine: \`rookery mcp ${command} <name>\` there${command === 'approve' ? ', or through its own gateway' : ''}.`,
  })

type Packable = McpServer | readonly McpServer[] | readonly McpServerTool[] | readonly object[] | McpResult

const packedResult = (result: Result<Packable>): Result<string> =>
  result.ok ? ok(JSON.stringify(result.value)) : result
