import nacl from 'tweetnacl'
import { can, type Actor } from '../../../crdt/actor.ts'
import { domainError, invalidField, type DomainError } from '../../../crdt/errors.ts'
import type { PeerId } from '../../../crdt/ids.ts'
import { machineIdOf } from '../../../crdt/machine-id.ts'
import { err, ok, type Result } from '../../../crdt/result.ts'
import { MemberName } from '../../../protocols/membership/records.ts'
import type { Random } from '../../ports/random.ts'
import type { MembershipSource } from '../accounts/sealed-accounts.ts'
import type { MachineService } from '../machines/machine-service.ts'
import type { MeshService } from '../membership/mesh-service.ts'
import type { CompletedPairing, CompletionChoice, PairedMachine, PairingSecret } from './pairing.ts'
import type { Pairing, PairingBook } from './pairing-book.ts'

/** Time to fetch the ticket, look at the words once more, and join. */
const TICKET_MS = 15 * 60_000

export type CompletionDeps = {
  readonly self: PeerId
  readonly book: PairingBook
  readonly membership: MembershipSource
  readonly hasCapability: (peer: PeerId, capability: 'admit') => boolean
  readonly machines: Pick<MachineService, 'register'>
  readonly mesh: Pick<MeshService, 'invite'>
  /** Seals the ticket, so that the machine knows it is from the gateway in whose words that key is. */
  readonly boxSecretKey: Uint8Array
  readonly random: Random
}

export type Completion = { readonly code: string; readonly choice: CompletionChoice; readonly from: PeerId }

/**
 * Completes a pairing of this gateway's own book: an agent becomes a bridged machine with a token, a node gets a ticket.
 * `from` is the member that asks for its user.
 */
export async function completeHere(
  deps: CompletionDeps,
  actor: Actor,
  { code, choice, from }: Completion,
): Promise<Result<CompletedPairing>> {
  const { book } = deps
  const found = book.find(code)
  if (!found.ok) return found
  const pairing = found.value
  const name = choice.name ?? pairing.request.name ?? pairing.request.agent.hostname
  if (name === undefined) return err(invalidField('name', 'The machine has not said its name: give one.'))
  const refusal = pairing.request.node
    ? nodeRefusal(deps, actor, { pairing, choice, from, name })
    : can(actor, 'machine:write')
      ? undefined
      : domainError('forbidden')
  if (refusal) return err(refusal)
  book.begin(pairing)
  let done: Result<Paired> | undefined
  try {
    done = await (pairing.request.node
      ? inviteNode(deps, pairing, name)
      : registerAgent(deps, actor, { pairing, name }))
  } finally {
    if (done?.ok !== true) book.abandon(pairing)
  }
  if (!done.ok) return done
  const { machine } = done.value
  return ok({ machine, code, ...book.settle(pairing, { ...done.value, allowLegacy: choice.allowLegacy }) })
}

type Paired = { readonly machine: PairedMachine; readonly secret: PairingSecret }

type NodeCompletion = Omit<Completion, 'code'> & { readonly pairing: Pairing; readonly name: string }

/** Who becomes a member may run sessions and serve users: more has to be right than for a token. */
function nodeRefusal(
  { self, book, hasCapability, membership }: CompletionDeps,
  actor: Actor,
  { pairing, choice, from, name }: NodeCompletion,
): DomainError | undefined {
  if (!can(actor, 'machine:admin'))
    return domainError('forbidden', { message: 'To admit a node takes the ability machine:admin.' })
  if (from !== self && !hasCapability(from, 'admit'))
    return domainError('machine_refused', {
      message: 'Only the gateway of a machine that may admit members (capability `admit`) can complete this pairing.',
    })
  if (choice.allowLegacy) return invalidField('allow_legacy', 'A node proves who it is; leave this out.')
  const { node } = pairing.request
  if (node && membership.current().members.has(node.peer))
    return domainError('forbidden', { message: 'This machine is a member already.' })
  const badName = MemberName.safeParse(name).error?.issues[0]?.message
  if (badName !== undefined) return invalidField('name', badName)
  if (pairing.words === undefined)
    return invalidField('words', 'The machine has not shown its part of the words yet. Try again in a moment.')
  if (choice.words === undefined)
    return invalidField('words', 'Compare the words that the machine shows with those here, and send them.')
  if (sameForm(choice.words) === pairing.words) return undefined
  book.wrongTry(pairing)
  return invalidField(
    'words',
    'These are not the words of this pairing. If the machine shows them, somebody sits between it and this gateway: refuse it.',
  )
}

/** However they were typed. */
const sameForm = (words: string): string =>
  words
    .trim()
    .toLowerCase()
    .split(/[^a-z]+/)
    .join(' ')

async function registerAgent(
  { machines }: CompletionDeps,
  actor: Actor,
  { pairing, name }: { pairing: Pairing; name: string },
): Promise<Result<Paired>> {
  const registered = await machines.register(actor, { ...pairing.request.agent, name })
  if (!registered.ok) return registered
  const { machine, token } = registered.value
  return ok({ machine, secret: { token } })
}

async function inviteNode(
  { mesh, boxSecretKey, random }: CompletionDeps,
  { request }: Pairing,
  name: string,
): Promise<Result<Paired>> {
  const { node, agent } = request
  if (!node) throw new Error('only a node is invited')
  const invited = await mesh.invite({ expiresInMs: TICKET_MS })
  if (!invited.ok) return invited
  const nonce = random.bytes(nacl.box.nonceLength).slice()
  const letter = new TextEncoder().encode(JSON.stringify({ ticket: invited.value.ticket, name }))
  const box = nacl.box(letter, nonce, node.boxKey, boxSecretKey)
  const { platform = 'unknown', hostname = '' } = agent
  // It joins in a moment, by itself.
  const machine = { id: machineIdOf(node.peer), name, platform, hostname, status: 'connecting' } as const
  return ok({ machine, secret: { sealed: { nonce, box } } })
}
