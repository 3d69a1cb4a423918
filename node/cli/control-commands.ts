import { z } from 'zod'
import type { Command } from '../../crdt/command.ts'
import { domainError } from '../../crdt/errors.ts'
import { err, ok, type Result } from '../../crdt/result.ts'
import { RegisterInput } from '../services/commands/command-registry.ts'
import { COMMANDS_PER_PAGE_MAX, type CommandPage } from '../services/commands/command-service.ts'
import { findMachine } from './control-machines.ts'
import { localActor, method, PAGE, type ControlContext, type ControlMethod } from './control-method.ts'

/** A machine that does not say so by then has gone away. */
const ENDED_MS = 15_000
/** Names that a refusal lists. */
const NAMED_MAX = 10

const machine = z.string().optional()
const words = z.array(z.string()).max(64)

/** What the command line may ask about the commands of machines. */
export const COMMAND_METHODS = {
  'command.list': method(z.strictObject({ machine, search: z.string().min(1).max(256).optional() }), (context, asked) =>
    all(context, asked),
  ),
  /** By id, else by its name or line; `near` is the folder whose commands are meant first. */
  'command.find': method(
    z.strictObject({ machine, command: z.string(), near: z.string().optional() }),
    async (context, { command: wanted, near, ...asked }) => {
      const target = await findMachine(context.services, asked.machine)
      if (!target.ok) return target
      const actor = localActor(context.self)
      if (isId(wanted)) return await context.services.commands.get(actor, target.value, wanted)
      const listed = await all(context, asked)
      if (!listed.ok) return listed
      const one = theOne(listed.value.commands, { wanted, near })
      return one.ok ? await context.services.commands.get(actor, target.value, one.value.id) : one
    },
  ),
  'command.add': method(z.strictObject({ machine, input: RegisterInput }), async ({ services, self }, asked) => {
    const target = await findMachine(services, asked.machine)
    if (!target.ok) return target
    const made = await services.commands.register(localActor(self), target.value, [asked.input])
    return made.ok ? ok(made.value.commands[0]) : made
  }),
  'command.remove': method(
    z.strictObject({ machine, id: z.string() }),
    async ({ services, self }, { id, ...asked }) => {
      const target = await findMachine(services, asked.machine)
      return target.ok ? await services.commands.remove(localActor(self), target.value, id) : target
    },
  ),
  'command.execute': method(
    z.strictObject({ machine, id: z.string(), arguments: words, options: words, folder: z.string().exactOptional() }),
    async ({ services, self }, { machine: on, ...call }) => {
      const target = await findMachine(services, on)
      return target.ok ? await services.commands.execute(localActor(self), target.value, call) : target
    },
  ),
  'command.executions': method(z.strictObject({ machine }), async ({ services }, asked) => {
    const target = await findMachine(services, asked.machine)
    if (!target.ok) return target
    const page = await services.commands.executions(target.value, PAGE)
    return page.ok ? ok(page.value.items) : page
  }),
  'command.execution': method(z.strictObject({ id: z.string() }), ({ services }, { id }) =>
    services.commands.execution(id),
  ),
  /** Waits until it is over: its record may be a moment behind the end of its output. */
  'command.ended': method(z.strictObject({ id: z.string() }), ({ services }, { id }, signal) =>
    services.commands.ended(id, AbortSignal.any([signal, AbortSignal.timeout(ENDED_MS)])),
  ),
  'command.cancel': method(z.strictObject({ id: z.string() }), ({ services, self }, { id }) =>
    services.commands.cancel(localActor(self), id),
  ),
} as const satisfies Record<string, ControlMethod>

const isId = (text: string): boolean => z.uuid().safeParse(text).success

type Listed = { readonly commands: readonly Command[]; readonly isComplete: boolean }

/** Page by page: an answer between nodes is bounded, and a monorepo has ten thousand commands. */
async function all(
  { services, self }: ControlContext,
  asked: { machine?: string | undefined; search?: string | undefined },
): Promise<Result<Listed>> {
  const target = await findMachine(services, asked.machine)
  if (!target.ok) return target
  const commands: Command[] = []
  const search = asked.search === undefined ? {} : { search: asked.search }
  const ask = (page: number): Promise<Result<CommandPage>> =>
    services.commands.list(localActor(self), target.value, {
      ...search,
      page: { page, perPage: COMMANDS_PER_PAGE_MAX },
    })
  for (let page = 1; ; page++) {
    const answer = await ask(page)
    if (!answer.ok) return answer
    commands.push(...answer.value.items)
    const { items, total, isComplete } = answer.value
    if (items.length === 0 || commands.length >= total) return ok({ commands, isComplete })
  }
}

function theOne(
  commands: readonly Command[],
  { wanted, near }: { wanted: string; near: string | undefined },
): Result<Command> {
  const named = commands.filter(({ name, line }) => name === wanted || line === wanted)
  const around = named.filter(
    ({ folder }) => folder !== null && near !== undefined && `${near}/`.startsWith(`${folder}/`),
  )
  const deepest = Math.max(...around.map(({ folder }) => folder?.length ?? 0))
  const nearest = around.filter(({ folder }) => folder?.length === deepest)
  const candidates = nearest.length > 0 ? nearest : named
  const [only] = candidates
  if (only && candidates.length === 1) return ok(only)
  const list = candidates.slice(0, NAMED_MAX).map(({ id, source }) => `${id} (${source ?? 'registered'})`)
  return err(
    domainError('command_not_found', {
      message: only
        ? `${candidates.length} commands are called ${wanted}. Name one by its id: ${list.join(', ')}.`
        : `No command is called ${wanted}. \`rookery commands search\` finds those there are.`,
    }),
  )
}
