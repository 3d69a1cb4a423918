import { z } from 'zod'
import { can, type Ability, type Actor } from '../../../crdt/actor.ts'
import { CommandRecord, type Command } from '../../../crdt/command.ts'
import { domainError, invalidField, type DomainError } from '../../../crdt/errors.ts'
import { ExecutionRecord } from '../../../crdt/execution-records.ts'
import type { Execution } from '../../../crdt/execution.ts'
import { CommandId, ExecutionId, type PeerId } from '../../../crdt/ids.ts'
import { machineIdOf } from '../../../crdt/machine-id.ts'
import { err, ok, type Result } from '../../../crdt/result.ts'
import { uuidFromRandom } from '../../../crdt/uuid.ts'
import { LogsReply, Position } from '../sessions/session-target.ts'
import { calledAs } from './command-call.ts'
import type { CommandCatalogue, KnownCommand } from './command-catalogue.ts'
import type { CommandAction, CommandServiceDeps } from './command-deps.ts'
import { isFolderName, RegisterInput, type CommandRegistry } from './command-registry.ts'
import { matching } from './command-search.ts'
import { COMMANDS_PER_PAGE_MAX } from './command-service.ts'
import type { ExecutionQueue } from './execution-queue.ts'

/** Text of log entries in one answer: an answer between nodes is at most 1 MB. */
const LOGS_BYTES_MAX = 512 * 1024
/** Commands of one bulk: a machine uploads what it has found at once. */
export const BULK_MAX = 500

const words = z.array(z.string().max(4096)).max(64)
const ListInput = z.strictObject({
  search: z.string().max(256).exactOptional(),
  page: z.int().min(1),
  perPage: z.int().min(1).max(COMMANDS_PER_PAGE_MAX),
})
const ExecuteInput = z.strictObject({
  id: CommandId,
  arguments: words,
  options: words,
  folder: z.string().min(1).max(4096).exactOptional(),
})
type ExecuteInput = z.infer<typeof ExecuteInput>

/** What the methods answer, to be parsed by who asked. */
export const REPLIES = {
  list: z.object({
    items: z.array(CommandRecord).max(COMMANDS_PER_PAGE_MAX),
    total: z.int().min(0),
    page: z.int(),
    perPage: z.int(),
    isComplete: z.boolean(),
  }),
  command: CommandRecord,
  registered: z.object({
    commands: z.array(CommandRecord).max(BULK_MAX),
    registered: z.int().min(0),
    skipped: z.int().min(0),
  }),
  count: z.int().min(0),
  execution: z.object({ execution: ExecutionRecord, position: Position }),
  logs: LogsReply,
} as const

/** What each takes; reading the lists tells no more than the files of the projects do. */
export const COMMAND_ABILITIES: Readonly<Record<CommandAction, Ability>> = {
  'command.list': 'command:read',
  'command.get': 'command:read',
  'command.register': 'command:write',
  'command.remove': 'command:write',
  'command.clear': 'command:write',
  'command.execute': 'command:run',
  'command.cancel': 'command:run',
  'command.logs': 'command:read',
  'command.attach': 'command:read',
}

export type CommandTarget = {
  /** Whether an actor may do this here, by ability and by the machine's own policy. */
  admit(action: CommandAction, actor: Actor, from: PeerId): DomainError | undefined
}

type Own = {
  readonly catalogue: CommandCatalogue
  readonly registry: CommandRegistry
  readonly queue: ExecutionQueue
}

/** Serves `command.*`. The capability of the caller and the audit of what is let through are the rpc's business. */
export function serveCommands(deps: CommandServiceDeps, own: Own): CommandTarget {
  const { rpc, refusal, audit } = deps
  const { catalogue, registry } = own
  const admit: CommandTarget['admit'] = (action, actor, from) => {
    if (!can(actor, COMMAND_ABILITIES[action])) return domainError('forbidden')
    const message = refusal({ action, actor, from })
    return message === undefined ? undefined : domainError('machine_refused', { message })
  }
  const serve: Serve = (name, input, run) =>
    rpc.serve({
      name,
      input,
      run: async (actor, parsed, from) => {
        const refused = admit(name, actor, from)
        if (!refused) return await run(parsed, actor)
        await audit.record({ action: name, actor, from, outcome: 'denied' })
        return err(refused)
      },
    })
  serve('command.list', ListInput, async ({ search, ...page }) => {
    const { commands, isComplete } = await catalogue.all()
    const items = await matching(commands, search, deps.clock)
    const from = (page.page - 1) * page.perPage
    return ok({ items: items.slice(from, from + page.perPage).map(told), total: items.length, ...page, isComplete })
  })
  serve('command.get', z.strictObject({ id: CommandId }), async ({ id }) => {
    const command = await catalogue.find(id)
    return command.ok ? ok(told(command.value)) : command
  })
  serve(
    'command.register',
    z.strictObject({ commands: z.array(RegisterInput).min(1).max(BULK_MAX) }),
    async ({ commands }, actor) => {
      const added = await registry.add(commands, actor.id)
      if (!added.ok) return added
      const all = new Map(catalogue.registered().map((command) => [command.id, command]))
      const made = added.value.commands.flatMap(({ id }) => all.get(id) ?? [])
      return ok({ ...added.value, commands: made.map(told) })
    },
  )
  serve('command.remove', z.strictObject({ id: CommandId }), async ({ id }) => {
    const removed = await registry.remove(new Set([id]))
    if (!removed.ok || removed.value > 0) return removed.ok ? ok(null) : removed
    const found = await catalogue.find(id)
    if (!found.ok) return found
    return err(invalidField('id', `The command is in ${found.value.source}: it is there until it is removed there.`))
  })
  serve('command.clear', z.strictObject({}), () => registry.remove(new Set(registry.all().map(({ id }) => id))))
  serveExecutions(deps, own, serve)
  return { admit }
}

type Serve = <I extends z.ZodType, O>(
  name: CommandAction,
  input: I,
  run: (input: z.infer<I>, actor: Actor) => Promise<Result<O>>,
) => void

function serveExecutions(deps: CommandServiceDeps, own: Own, serve: Serve): void {
  serve('command.execute', ExecuteInput, (input, actor) => execute(deps, own, { input, actor }))
  serve('command.cancel', z.strictObject({ id: ExecutionId }), ({ id }) => own.queue.cancel(id))
  const LogsInput = z.strictObject({
    id: ExecutionId,
    limit: z.int().min(1).max(10_000),
    type: z.enum(['input', 'output', 'error']).exactOptional(),
  })
  serve('command.logs', LogsInput, async ({ id, ...filter }) =>
    ok(await deps.hosts.logs(id, { ...filter, bytesMax: LOGS_BYTES_MAX })),
  )
}

/** Without what only this machine needs. */
const told = ({ words: _words, ...command }: KnownCommand): Command => CommandRecord.parse(command)

async function execute(
  { self, finder, random, clock, ...deps }: CommandServiceDeps,
  { catalogue, queue }: Own,
  { input, actor }: { input: ExecuteInput; actor: Actor },
): Promise<Result<{ execution: Execution; position: unknown }>> {
  const command = await catalogue.find(input.id)
  if (!command.ok) return command
  const called = calledAs(command.value, input)
  if (!called.ok) return called
  const folder = await folderFor({ finder, catalogue, home: deps.probe.account().home }, command.value, input.folder)
  if (!folder.ok) return folder
  const [name = '', ...argv] = called.value.words
  const file = finder.program(name, folder.value)
  if (file === undefined)
    return err(
      domainError('command_failed', {
        message: `The program ${name} is not on the machine, not executable, or not in the PATH of its node.`,
      }),
    )
  const project = await catalogue.projectAt(folder.value)
  const execution: Execution = {
    id: ExecutionId.parse(uuidFromRandom(random.bytes(16))),
    machineId: machineIdOf(self),
    node: self,
    commandId: command.value.id,
    name: command.value.name,
    line: called.value.line.slice(0, LINE_CHARS_MAX),
    folder: folder.value,
    projectId: project?.id ?? null,
    createdBy: actor.id,
    queuedAt: new Date(clock.wallMs()).toISOString(),
    status: 'queued',
    startedAt: null,
    endedAt: null,
    exitCode: null,
    signal: null,
    problem: null,
  }
  return await queue.add({ execution, file, argv, gateway: actor.gateway }, actor)
}

/** Shown to people; what runs is the words. */
const LINE_CHARS_MAX = 4096

type Folders = Pick<CommandServiceDeps, 'finder'> & { readonly catalogue: CommandCatalogue; readonly home: string }

/**
 * Where a command runs. One that was found runs where it was found: elsewhere the same line would mean something else. One
 * that was registered runs in its own folder, in the home directory, or in a project.
 */
async function folderFor(
  { finder, catalogue, home }: Folders,
  command: KnownCommand,
  asked: string | undefined,
): Promise<Result<string>> {
  const wanted = asked ?? command.folder ?? home
  if (!isFolderName(wanted)) return err(invalidField('cwd', 'Must be an absolute path on the machine.'))
  const folder = await finder.realFolder(wanted)
  if (folder === undefined) return err(invalidField('cwd', `${wanted} is not a folder on the machine.`))
  if (command.folder !== null && folder === (await finder.realFolder(command.folder))) return ok(folder)
  if (command.source !== null)
    return err(invalidField('cwd', `This command is of ${command.source} and runs in ${command.folder} only.`))
  if (folder === (await finder.realFolder(home)) || (await catalogue.projectAt(folder))) return ok(folder)
  return err(
    invalidField('cwd', `${wanted} is in no project of the machine. Add it first (rookery project add ${wanted}).`),
  )
}
