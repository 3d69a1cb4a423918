import { z } from 'zod'
import { domainError } from '../../crdt/errors.ts'
import { err, ok, type Result } from '../../crdt/result.ts'
import { PTY_COLS, PTY_ROWS, SESSION_LOG_TYPES, SESSION_MODES } from '../../crdt/session.ts'
import type { Services } from '../services/services.ts'
import { localActor, method, PAGE, type ControlMethod } from './control-method.ts'

/** What the command line may ask about machines and what runs on them. */
export const MACHINE_METHODS = {
  'machine.list': method(z.strictObject({}), async ({ services }) =>
    ok((await services.machines.list({}, PAGE)).items),
  ),
  'machine.wake': method(z.strictObject({ machine: z.string() }), async ({ services, self }, { machine }) => {
    const target = await findMachine(services, machine)
    return target.ok ? await services.wake.wake(localActor(self), target.value) : target
  }),

  'session.start': method(
    z.strictObject({
      machine: z.string().optional(),
      mode: z.enum(SESSION_MODES).default('interactive'),
      agent: z.string().optional(),
      path: z.string().optional(),
      prompt: z.string().optional(),
      cols: z.int().min(PTY_COLS.min).max(PTY_COLS.max).default(PTY_COLS.default),
      rows: z.int().min(PTY_ROWS.min).max(PTY_ROWS.max).default(PTY_ROWS.default),
    }),
    async ({ services, self }, { machine, mode, agent, path, prompt, cols, rows }) => {
      const target = await findMachine(services, machine)
      if (!target.ok) return target
      return await services.sessions.create(localActor(self), target.value, {
        mode,
        ptySize: { cols, rows },
        ...(agent === undefined ? {} : { agent }),
        ...(path === undefined ? {} : { projectPath: path }),
        ...(prompt === undefined ? {} : { initialPrompt: prompt }),
      })
    },
  ),
  'session.list': method(z.strictObject({ machine: z.string().optional() }), async ({ services }, { machine }) => {
    const one = machine === undefined ? undefined : await findMachine(services, machine)
    if (one && !one.ok) return one
    const ids = one ? [one.value] : (await services.machines.list({}, PAGE)).items.map(({ id }) => id)
    const pages = await Promise.all(ids.map((id) => services.sessions.list(id, {}, PAGE)))
    return ok(pages.flatMap((page) => (page.ok ? page.value.items : [])))
  }),
  'session.get': method(z.strictObject({ id: z.string() }), ({ services }, { id }) => services.sessions.get(id)),
  'session.logs': method(
    z.strictObject({
      id: z.string(),
      limit: z.int().min(1).max(10_000).default(1000),
      type: z.enum(SESSION_LOG_TYPES).optional(),
    }),
    ({ services, self }, { id, limit, type }) =>
      services.sessions.logs(localActor(self), id, { limit, ...(type && { type }) }),
  ),
  'session.kill': method(z.strictObject({ id: z.string() }), ({ services, self }, { id }) =>
    services.sessions.remove(localActor(self), id),
  ),
  'session.erase': method(z.strictObject({ id: z.string() }), ({ services, self }, { id }) =>
    services.sessions.erase(localActor(self), id),
  ),
} as const satisfies Record<string, ControlMethod>

/** A machine by its id, its node's peer id or an unambiguous name; this one when nothing is said. */
export async function findMachine(services: Services, nameOrId: string | undefined): Promise<Result<string>> {
  if (nameOrId === undefined) return ok(services.machines.self)
  const { items } = await services.machines.list({}, PAGE)
  const byId = items.find(({ id, node }) => id === nameOrId || node === nameOrId)
  if (byId) return ok(byId.id)
  const named = items.filter(({ name }) => name === nameOrId)
  const [only] = named
  if (only && named.length === 1) return ok(only.id)
  return err(
    domainError('machine_not_found', {
      message: only
        ? `${named.length} machines are called ${nameOrId}: use the peer id (\`rookery members\` lists them).`
        : `No machine is called ${nameOrId}.`,
    }),
  )
}
