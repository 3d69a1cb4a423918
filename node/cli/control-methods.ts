import { z } from 'zod'
import { Capability } from '../../crdt/capability.ts'
import { ok } from '../../crdt/result.ts'
import { ForceReason, MemberName, PARENTS_MAX } from '../../protocols/membership/records.ts'
import { COMMAND_METHODS } from './control-commands.ts'
import { CONTEXT_METHODS } from './control-context.ts'
import { MACHINE_METHODS } from './control-machines.ts'
import { MCP_METHODS } from './control-mcp.ts'
import { method, type ControlMethod } from './control-method.ts'
import { PAIRING_METHODS } from './control-pairing.ts'
import { SKILL_METHODS } from './control-skills.ts'
import { USER_METHODS } from './control-users.ts'
import { WORK_METHODS } from './control-work.ts'
import { goOnWithout, restoredView } from './restored-view.ts'

/** As many as one configuration can name. */
const VOTERS_MAX = 63

const hex = (byteLength: number) =>
  z
    .hex()
    .length(2 * byteLength)
    .lowercase()

/** Everything the command line may ask of the running node. */
export const CONTROL_METHODS = {
  'mesh.status': method(z.strictObject({}), async ({ services, certificate }) => {
    const status = await services.mesh.status()
    const setupCode = services.accounts.setupCode()
    const electorate = services.electorate.view()
    return ok({ ...status, certificate, electorate, ...(setupCode === undefined ? {} : { setupCode }) })
  }),
  'mesh.invite': method(
    z.strictObject({ capabilities: z.array(Capability).optional(), expiresInMs: z.int().min(1000).optional() }),
    ({ services }, { capabilities, expiresInMs }) =>
      services.mesh.invite({
        ...(capabilities === undefined ? {} : { capabilities }),
        ...(expiresInMs === undefined ? {} : { expiresInMs }),
      }),
  ),
  'mesh.join': method(
    z.strictObject({ ticket: z.string().max(4096), name: MemberName.optional() }),
    ({ join }, { ticket, name }) => join(ticket, name),
  ),
  'mesh.leave': method(z.strictObject({}), ({ leave }) => leave()),
  'mesh.remove': method(z.strictObject({ member: z.string() }), ({ services }, { member }) =>
    services.mesh.remove(member),
  ),
  'mesh.peers': method(z.strictObject({}), async ({ services }) => ok(services.peers.list())),

  'voters.view': method(z.strictObject({}), async ({ services }) => ok(services.electorate.view())),
  'voters.set': method(
    z.strictObject({
      members: z.array(z.string().min(1)).min(1).max(VOTERS_MAX),
      force: z.strictObject({ reason: ForceReason }).optional(),
    }),
    ({ services }, { members, force }, signal) =>
      services.electorate.set(force === undefined ? { members } : { members, force }, signal),
  ),

  'recovery.status': method(z.strictObject({}), async ({ services }) => ok(services.recovery.status())),
  'recovery.create': method(z.strictObject({ publicKey: hex(32) }), ({ services }, { publicKey }) =>
    services.recovery.create(publicKey),
  ),
  'recovery.use': method(
    z.strictObject({ recoveryKey: hex(32), parents: z.array(hex(32)).max(PARENTS_MAX), proof: hex(64) }),
    ({ services }, proof) => services.recovery.use(proof),
  ),

  'restored.view': method(z.strictObject({}), async (context) => ok(restoredView(context))),
  'restored.goOn': method(z.strictObject({ without: z.array(z.string().min(1)).min(1) }), (context, { without }) =>
    goOnWithout(context, without),
  ),

  'storage.view': method(z.strictObject({}), async ({ storage }) => ok(await storage.view())),
  'storage.budget': method(z.strictObject({}), async ({ storage }) => ok(storage.budget())),

  'node.config': method(z.strictObject({}), async ({ config }) => ok(config)),
  'node.metrics': method(z.strictObject({}), async ({ metrics }) =>
    ok({ contentType: metrics.contentType, text: await metrics.text() }),
  ),
  'node.health': method(z.strictObject({}), async ({ health }) => ok(await health())),
  'node.down': method(z.strictObject({ killSessions: z.boolean() }), ({ shutDown }, options) => shutDown(options)),

  ...USER_METHODS,
  ...MACHINE_METHODS,
  ...PAIRING_METHODS,
  ...WORK_METHODS,
  ...CONTEXT_METHODS,
  ...COMMAND_METHODS,
  ...MCP_METHODS,
  ...SKILL_METHODS,
} as const satisfies Record<string, ControlMethod>

export type ControlMethodName = keyof typeof CONTROL_METHODS
