import { z } from 'zod'
import { McpChange, McpInput } from '../../crdt/mcp.ts'
import { ok } from '../../crdt/result.ts'
import { Answer } from '../services/mcp/mcp-target.ts'
import { findMachine } from './control-machines.ts'
import { localActor, method, PAGE, type ControlContext, type ControlMethod } from './control-method.ts'
import type { Actor } from '../../crdt/actor.ts'
import type { Result } from '../../crdt/result.ts'
import type { McpService } from '../services/mcp/mcp-service.ts'

const machine = z.string().optional()
const Named = z.strictObject({ machine, name: z.string() })

type Ask<T> = (mcp: McpService, actor: Actor, machineId: string) => Promise<Result<T>>

async function onMachine<T>(
  { services, self }: ControlContext,
  name: string | undefined,
  ask: Ask<T>,
): Promise<Result<T>> {
  const target = await findMachine(services, name)
  return target.ok ? await ask(services.mcp, localActor(self), target.value) : target
}

/** What the command line may ask about MCP servers of any machine. */
export const MCP_METHODS = {
  'mcp.list': method(z.strictObject({ machine }), (context, { machine: on }) =>
    onMachine(context, on, async (mcp, actor, id) => {
      const page = await mcp.list(actor, id, PAGE)
      return page.ok ? ok(page.value.items) : page
    }),
  ),
  'mcp.show': method(Named, (context, { machine: on, name }) =>
    onMachine(context, on, (mcp, actor, id) => mcp.get(actor, id, name)),
  ),
  'mcp.add': method(z.strictObject({ machine, input: McpInput }), (context, { machine: on, input }) =>
    onMachine(context, on, (mcp, actor, id) => mcp.add(actor, id, input)),
  ),
  'mcp.set': method(
    z.strictObject({ machine, name: z.string(), change: McpChange }),
    (context, { machine: on, ...input }) => onMachine(context, on, (mcp, actor, id) => mcp.update(actor, id, input)),
  ),
  'mcp.approve': method(
    Named.extend({ fingerprint: z.string().optional() }),
    (context, { machine: on, name, fingerprint }) =>
      onMachine(context, on, (mcp, actor, id) =>
        mcp.approve(actor, id, { name, ...(fingerprint === undefined ? {} : { fingerprint }) }),
      ),
  ),
  'mcp.signIn': method(Named.extend({ redirectUrl: z.string() }), (context, { machine: on, ...input }) =>
    onMachine(context, on, (mcp, actor, id) => mcp.signIn(actor, id, input)),
  ),
  'mcp.finishSignIn': method(Named.extend({ answer: Answer }), (context, { machine: on, ...input }) =>
    onMachine(context, on, (mcp, actor, id) => mcp.finishSignIn(actor, id, input)),
  ),
  'mcp.signOut': method(Named, (context, { machine: on, name }) =>
    onMachine(context, on, (mcp, actor, id) => mcp.signOut(actor, id, name)),
  ),
  'mcp.start': method(Named, (context, { machine: on, name }) =>
    onMachine(context, on, (mcp, actor, id) => mcp.start(actor, id, name)),
  ),
  'mcp.stop': method(Named, (context, { machine: on, name }) =>
    onMachine(context, on, (mcp, actor, id) => mcp.stop(actor, id, name)),
  ),
  'mcp.remove': method(Named, (context, { machine: on, name }) =>
    onMachine(context, on, (mcp, actor, id) => mcp.remove(actor, id, name)),
  ),
  'mcp.tools': method(Named.extend({ name: z.string().optional() }), (context, { machine: on, name }) =>
    onMachine<readonly object[]>(context, on, (mcp, actor, id) =>
      name === undefined ? mcp.allTools(actor, id) : mcp.tools(actor, id, name),
    ),
  ),
  'mcp.call': method(
    Named.extend({
      tool: z.string().min(1).max(256),
      args: z.record(z.string(), z.unknown()),
      timeoutMs: z.int().min(1).max(600_000).optional(),
    }),
    (context, { machine: on, timeoutMs, ...call }, signal) =>
      onMachine(context, on, (mcp, actor, id) =>
        mcp.execute(actor, id, { ...call, ...(timeoutMs === undefined ? {} : { timeoutMs }) }, signal),
      ),
  ),
} as const satisfies Record<string, ControlMethod>
