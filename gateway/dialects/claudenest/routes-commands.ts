import { z } from 'zod'
import {
  COMMAND_ARGUMENTS_MAX,
  COMMAND_DESCRIPTION_CHARS_MAX,
  COMMAND_LINE_CHARS_MAX,
  COMMAND_NAME_CHARS_MAX,
  COMMAND_OPTIONS_MAX,
  CALL_WORDS_MAX,
  type CommandInput,
} from '../../../crdt/command.ts'
import { CommandId, MachineId } from '../../../crdt/ids.ts'
import { ok } from '../../../crdt/result.ts'
import { none } from '../../http/dialect.ts'
import { route } from './deps.ts'
import { BY_NODE, invalid, pageFields, pageOf } from './inputs.ts'
import {
  ArgumentInput,
  WireCommand,
  wireCommand,
  WireExecution,
  wireExecution,
  WireListed,
  wireListed,
} from './wire-commands.ts'

/** As many as a machine takes at once. */
const BULK_MAX = 500
const SEARCH_CHARS_MAX = 256
const WORD_CHARS_MAX = 4096
const PATH_CHARS_MAX = 4096

const ofMachine = { params: z.strictObject({ machine: MachineId }), missing: 'machine_not_found' } as const
const ofCommand = {
  params: z.strictObject({ machine: MachineId, id: CommandId }),
  missing: 'command_not_found',
  query: none.query,
} as const
/** A machine id that cannot be one is no command's, either: the document has no other answer for it. */
const MISSING = ['machine_not_found', ...BY_NODE] as const

const CommandBody = z.strictObject({
  name: z.string().trim().min(1).max(COMMAND_NAME_CHARS_MAX),
  type: z
    .string()
    .regex(/^[a-z][a-z0-9_-]{0,31}$/, 'Must be lower-case letters, digits, - and _, like npm or shell.')
    .default('custom'),
  description: z.string().max(COMMAND_DESCRIPTION_CHARS_MAX).default(''),
  command: z.string().min(1).max(COMMAND_LINE_CHARS_MAX),
  category: z.string().trim().min(1).max(64).exactOptional(),
  is_dangerous: z.boolean().default(false),
  arguments: z.array(ArgumentInput).max(COMMAND_ARGUMENTS_MAX).default([]),
  options: z.array(z.string().min(1).max(128)).max(COMMAND_OPTIONS_MAX).default([]),
  cwd: z.string().min(1).max(PATH_CHARS_MAX).nullable().default(null),
})

const inputOf = (body: z.infer<typeof CommandBody>): CommandInput => ({
  name: body.name,
  type: body.type,
  description: body.description,
  line: body.command,
  ...(body.category === undefined ? {} : { category: body.category }),
  isDangerous: body.is_dangerous,
  arguments: body.arguments,
  options: body.options,
  folder: body.cwd,
})

export const commandRoutes = [
  route({
    doc: '12.1 List commands',
    method: 'GET',
    path: '/api/machines/:machine/commands',
    policy: { ability: 'command:read' },
    errors: BY_NODE,
    ...ofMachine,
    query: z.object(pageFields(50)),
    body: none.body,
    reply: z.array(WireListed),
    run: ({ services }, { actor, params, query }) =>
      services.commands.list(actor, params.machine, { page: pageOf(query) }),
    toWire: (page) => ({ data: page.items.map(wireListed), page }),
  }),
  route({
    doc: '12.2 Search commands',
    method: 'GET',
    path: '/api/machines/:machine/commands/search',
    policy: { ability: 'command:read' },
    errors: BY_NODE,
    ...ofMachine,
    query: z.object({ q: z.string().trim().min(1).max(SEARCH_CHARS_MAX), ...pageFields(50) }),
    body: none.body,
    reply: z.array(WireListed),
    run: ({ services }, { actor, params, query }) =>
      services.commands.list(actor, params.machine, { search: query.q, page: pageOf(query) }),
    toWire: (page) => ({ data: page.items.map(wireListed), page }),
  }),
  route({
    doc: '12.3 Get command',
    method: 'GET',
    path: '/api/machines/:machine/commands/:id',
    policy: { ability: 'command:read' },
    errors: MISSING,
    ...ofCommand,
    body: none.body,
    reply: WireCommand,
    run: ({ services }, { actor, params }) => services.commands.get(actor, params.machine, params.id),
    toWire: (command) => ({ data: wireCommand(command) }),
  }),
  route({
    doc: '12.4 Register command',
    method: 'POST',
    path: '/api/machines/:machine/commands',
    policy: { ability: 'command:write' },
    errors: ['limit_reached', 'storage_failed', ...BY_NODE],
    status: 201,
    ...ofMachine,
    query: none.query,
    body: CommandBody,
    reply: WireCommand,
    run: async ({ services }, { actor, params, body }) => {
      const made = await services.commands.register(actor, params.machine, [inputOf(body)])
      if (!made.ok) return made
      const [command] = made.value.commands
      return command ? ok(command) : invalid('name', 'It was removed again meanwhile.')
    },
    toWire: (command) => ({ data: wireCommand(command) }),
  }),
  route({
    doc: '12.5 Bulk register',
    method: 'POST',
    path: '/api/machines/:machine/commands/bulk',
    policy: { ability: 'command:write' },
    errors: ['limit_reached', 'storage_failed', ...BY_NODE],
    ...ofMachine,
    query: none.query,
    body: z.strictObject({ commands: z.array(CommandBody).min(1).max(BULK_MAX) }),
    reply: z.strictObject({ registered: z.int().min(0), skipped: z.int().min(0), commands: z.array(WireListed) }),
    run: ({ services }, { actor, params, body }) =>
      services.commands.register(actor, params.machine, body.commands.map(inputOf)),
    toWire: ({ commands, registered, skipped }) => ({
      data: { registered, skipped, commands: commands.map(wireListed) },
    }),
  }),
  route({
    doc: '12.6 Execute command',
    method: 'POST',
    path: '/api/machines/:machine/commands/:id/execute',
    policy: { ability: 'command:run' },
    errors: ['command_failed', 'limit_reached', 'storage_failed', ...MISSING],
    ...ofCommand,
    aliases: { args: 'arguments' },
    body: z.strictObject({
      arguments: z.array(z.string().max(WORD_CHARS_MAX)).max(CALL_WORDS_MAX).default([]),
      options: z.array(z.string().max(WORD_CHARS_MAX)).max(CALL_WORDS_MAX).default([]),
      cwd: z.string().min(1).max(PATH_CHARS_MAX).exactOptional(),
    }),
    reply: WireExecution,
    run: ({ services }, { actor, params, body }) =>
      services.commands.execute(actor, params.machine, {
        id: params.id,
        arguments: body.arguments,
        options: body.options,
        ...(body.cwd === undefined ? {} : { folder: body.cwd }),
      }),
    toWire: (execution, { nowMs }) => ({ data: wireExecution(execution, nowMs) }),
  }),
  route({
    doc: '12.7 Delete command',
    method: 'DELETE',
    path: '/api/machines/:machine/commands/:id',
    policy: { ability: 'command:write' },
    errors: ['storage_failed', ...MISSING],
    ...ofCommand,
    body: none.body,
    reply: z.null(),
    run: ({ services }, { actor, params }) => services.commands.remove(actor, params.machine, params.id),
    toWire: () => ({ data: null }),
  }),
  route({
    doc: '12.8 Clear all commands',
    method: 'DELETE',
    path: '/api/machines/:machine/commands',
    policy: { ability: 'command:write' },
    errors: ['storage_failed', ...BY_NODE],
    ...ofMachine,
    query: none.query,
    body: none.body,
    reply: z.strictObject({ deleted: z.int().min(0), deleted_count: z.int().min(0) }),
    run: ({ services }, { actor, params }) => services.commands.clear(actor, params.machine),
    toWire: (deleted) => ({ data: { deleted, deleted_count: deleted } }),
  }),
]
