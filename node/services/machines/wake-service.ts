import { z } from 'zod'
import { can, type Actor } from '../../../crdt/actor.ts'
import { domainError } from '../../../crdt/errors.ts'
import { machineDoc, MachineId, type PeerId } from '../../../crdt/ids.ts'
import { readLinks, writeLinks, type LanLink } from '../../../crdt/lan-link.ts'
import type { Machine } from '../../../crdt/machine.ts'
import { err, ok, type Result } from '../../../crdt/result.ts'
import { every, type Clock } from '../../ports/clock.ts'
import type { Lan, OwnLink } from '../../ports/lan.ts'
import type { Log } from '../../ports/log.ts'
import type { Documents } from '../feeds/documents.ts'
import { createRateLimiter } from '../rate-limit.ts'
import type { Rpc } from '../rpc/rpc.ts'
import { writtenIfMember } from '../written.ts'

/** A machine that is carried to another network has said so by then, if it stays awake that long. */
const LOOK_EVERY_MS = 30_000
/** One subnet is in many homes: that two machines are in it does not prove that they share a LAN. So some are asked. */
const ASKED_MAX = 3
/** What one member may have broadcast: more than a person presses a button, and nothing a LAN would notice. */
const WAKES_PER_ASKER = { count: 12, perMs: 60_000, keysMax: 1024 } as const

/** A sleeping machine, and who of the mesh has sent it the packet that wakes it. */
export type Woken = { readonly machine: Machine; readonly by: readonly string[] }

export type WakeService = {
  /**
   * Lets members that are awake on a network of the machine send it a magic packet there. That it was sent is all that
   * anybody can know: the machine is awake when it is `online`. Needs `machine:write`.
   * @errors machine_not_found, machine_awake, wake_unsupported (no network card of it is known), wake_unreachable (no
   * member is awake on a network of it), and what the asked members answer
   */
  wake(actor: Actor, machineId: string): Promise<Result<Woken>>
  /** Machines that are not online and have said where they can be woken; whether anybody is awake there is not asked. */
  wakeable(): Promise<ReadonlySet<MachineId>>
}

export type WakeServiceDeps = {
  readonly self: PeerId
  readonly documents: Documents
  readonly machines: { all(): readonly Machine[] }
  readonly rpc: Rpc
  readonly lan: Lan
  readonly clock: Clock
  readonly log: Log
}

/** Says where this machine can be woken, for as long as it is awake, and wakes others. */
export async function createWakeService(deps: WakeServiceDeps): Promise<WakeService & { stop(): void }> {
  const { documents, self, clock, log } = deps
  const publish = async (): Promise<void> => {
    const links = deps.lan.links()
    // Without a network now: where it was last is where it can be woken.
    if (links.length > 0)
      await writtenIfMember(documents.write(machineDoc(self), undefined, (state) => writeLinks(state, links)))
  }
  await publish()
  serveWakes(deps)
  const stop = every(clock, LOOK_EVERY_MS, () => {
    publish().catch((error: unknown) =>
      log.warn({ error: String(error) }, 'where this machine can be woken is not written'),
    )
  })
  return { wake: (actor, id) => wake(deps, actor, id), wakeable: () => wakeable(deps), stop }
}

async function wake(deps: WakeServiceDeps, actor: Actor, machineId: string): Promise<Result<Woken>> {
  if (!can(actor, 'machine:write')) return err(domainError('forbidden'))
  const all = deps.machines.all()
  const machine = all.find(({ id }) => id === machineId)
  if (!machine) return err(domainError('machine_not_found'))
  if (machine.status === 'online') return err(domainError('machine_awake'))
  const links = await linksOf(deps, machine)
  if (links.length === 0) return err(domainError('wake_unsupported'))
  const asked = (await neighboursOf(deps, all, links)).slice(0, ASKED_MAX)
  if (asked.length === 0) return err(unreachable(machine, links))
  const answers = await Promise.all(
    asked.map(async ({ node, name }) => {
      const input = { machine: machine.id }
      const answer = await deps.rpc.call(node, 'machine.wake', { actor, input, reply: z.null() })
      return answer.ok ? ok(name) : answer
    }),
  )
  const by = answers.flatMap((answer) => (answer.ok ? [answer.value] : []))
  const refusal = answers.find((answer) => !answer.ok)
  return by.length === 0 && refusal && !refusal.ok ? refusal : ok({ machine, by })
}

async function wakeable(deps: WakeServiceDeps): Promise<ReadonlySet<MachineId>> {
  const found = new Set<MachineId>()
  for (const machine of deps.machines.all())
    if (machine.status !== 'online' && (await linksOf(deps, machine)).length > 0) found.add(machine.id)
  return found
}

type Neighbour = { readonly node: PeerId; readonly name: string }

/** Members that are awake on one of these networks, this node first: asking it costs nothing. */
async function neighboursOf(
  deps: WakeServiceDeps,
  all: readonly Machine[],
  links: readonly LanLink[],
): Promise<Neighbour[]> {
  const subnets = new Set(links.map(({ subnet }) => subnet))
  const neighbours: Neighbour[] = []
  for (const machine of all) {
    const { node, name, status } = machine
    if (node === null || status !== 'online') continue
    const shared = (await linksOf(deps, machine)).some(({ subnet }) => subnets.has(subnet))
    if (shared && node === deps.self) neighbours.unshift({ node, name })
    else if (shared) neighbours.push({ node, name })
  }
  return neighbours
}

async function linksOf(
  { documents }: Pick<WakeServiceDeps, 'documents'>,
  machine: Machine,
): Promise<readonly LanLink[]> {
  return machine.node === null ? [] : await documents.read(machineDoc(machine.node), readLinks)
}

/** The request names a machine. Its addresses are what the machine itself has stated, never what the asker says. */
function serveWakes(deps: WakeServiceDeps): void {
  const limiter = createRateLimiter(deps.clock, WAKES_PER_ASKER)
  deps.rpc.serve({
    name: 'machine.wake',
    input: z.strictObject({ machine: MachineId }),
    run: async (actor, { machine: id }, from) => {
      if (!can(actor, 'machine:write')) return err(domainError('forbidden'))
      const retryAfterMs = limiter.take(from)
      if (retryAfterMs !== undefined) return err(domainError('rate_limited', { details: { retryAfterMs } }))
      const machine = deps.machines.all().find((one) => one.id === id)
      if (!machine) return err(domainError('machine_not_found'))
      return await sendPackets(deps, machine)
    },
  })
}

async function sendPackets(deps: WakeServiceDeps, machine: Machine): Promise<Result<null>> {
  const links = await linksOf(deps, machine)
  const own = deps.lan.links()
  const pairs = links.flatMap(({ mac, subnet }) =>
    own.flatMap((link) => (link.subnet === subnet ? [{ mac, link }] : [])),
  )
  const sent = await Promise.all(pairs.map(({ mac, link }) => send(deps, mac, link)))
  return sent.includes(true) ? ok(null) : err(unreachable(machine, links))
}

async function send({ lan, log }: WakeServiceDeps, mac: string, link: OwnLink): Promise<boolean> {
  try {
    await lan.wake(mac, link)
    return true
  } catch (error) {
    log.warn({ subnet: link.subnet, error: String(error) }, 'a magic packet could not be sent')
    return false
  }
}

const unreachable = ({ name }: Machine, links: readonly LanLink[]): ReturnType<typeof domainError> =>
  domainError('wake_unreachable', {
    message: `No member of the mesh is awake on a network of ${name} (${links.map(({ subnet }) => subnet).join(', ')}).`,
  })
