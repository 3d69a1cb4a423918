import { z } from 'zod'
import { can, type Actor } from '../../../crdt/actor.ts'
import { domainError, type DomainError } from '../../../crdt/errors.ts'
import { MachineId, type PeerId } from '../../../crdt/ids.ts'
import { err, ok, type Result } from '../../../crdt/result.ts'
import type { Crypto } from '../../../protocols/crypto.ts'
import { typedPairingCode } from '../../../protocols/pairing.ts'
import type { Clock } from '../../ports/clock.ts'
import type { EventHub } from '../event-hub.ts'
import type { Rpc } from '../rpc/rpc.ts'
import type { Presence } from '../sync/presence.ts'
import {
  type CompletedPairing,
  type CompletionChoice,
  type PairingService,
  PendingRecord,
  type PendingPairing,
} from './pairing.ts'
import { type Pairing, PairingBook } from './pairing-book.ts'
import { completeHere, type CompletionDeps } from './pairing-completion.ts'

export type PairingServiceDeps = Omit<CompletionDeps, 'book'> & {
  readonly rpc: Rpc
  readonly presence: Pick<Presence, 'state'>
  readonly nameOf: (peer: PeerId) => string
  readonly events: EventHub
  readonly crypto: Crypto
  readonly clock: Clock
  /** Of this gateway's own TLS certificate, if it has one. */
  readonly tlsFingerprint: () => string | null
  readonly wordsOf: (digest: Uint8Array) => string
}

/** Another gateway that does not answer by then does not hold up the others. */
const ANSWER_MS = 3000

const METHODS = {
  list: 'pairing.list',
  find: 'pairing.find',
  complete: 'pairing.complete',
  refuse: 'pairing.refuse',
} as const

const Code = z.strictObject({ code: z.string().max(7) })
const State = z.enum(['unknown', 'pending', 'over'])
const Completed = z.object({
  machine: z.object({
    id: MachineId,
    name: z.string().max(255),
    platform: z.string().max(512),
    hostname: z.string().max(512),
    status: z.enum(['online', 'offline', 'connecting']),
  }),
  code: z.string().max(7),
  completedAt: z.iso.datetime(),
})

/** Serves pairing at this gateway, and to the other gateways of the mesh for their users. */
export function createPairingService(deps: PairingServiceDeps): PairingService & { stop(): void } {
  const { self, membership, tlsFingerprint, events, hasCapability } = deps
  const book = new PairingBook({
    ...deps,
    gateway: () => {
      const current = membership.current()
      const own = current.members.get(self)
      if (!own) throw new Error('a node that is no member admits nobody')
      return { mesh: current.mesh, peer: self, boxKey: own.boxKey, tlsFingerprint: tlsFingerprint() }
    },
    onChange: () => events.publish({ type: 'pairing.changed' }),
  })
  serve(deps, book)
  return {
    initiate: (request, address) =>
      request.node && !hasCapability(self, 'admit') ? err(MAY_NOT_ADMIT) : book.open(request, address),
    reveal: (code, token, nonce) => book.reveal(code, token, nonce),
    poll: (code, token, waitMs) => book.poll(code, token, waitMs),
    cancel: (code, token) => book.cancel(code, token),
    list: (actor) => list(deps, actor),
    complete: (actor, code, choice) => complete(deps, actor, { code, choice }),
    refuse: (actor, code) => refuse(deps, actor, code),
    stop: () => book.stop(),
  }
}

const MAY_NOT_ADMIT: DomainError = domainError('forbidden', {
  message:
    'The machine of this gateway may not admit members (capability `admit`). Pair at the gateway of one that may: `rookery members` lists them.',
})

/** What other gateways ask on behalf of their users. Our own calls come this way, too, so that all are audited. */
function serve(deps: PairingServiceDeps, book: PairingBook): void {
  const { rpc } = deps
  const shared = { needsRun: false, capability: 'gateway' } as const
  const allowed = (actor: Actor): DomainError | undefined =>
    can(actor, 'machine:write') ? undefined : domainError('forbidden')
  rpc.serve({
    ...shared,
    name: METHODS.list,
    input: z.strictObject({}),
    run: async (actor) => {
      const refusal = allowed(actor)
      return refusal ? err(refusal) : ok(book.pending().map(recordOf))
    },
  })
  rpc.serve({
    ...shared,
    name: METHODS.find,
    input: Code,
    run: async (actor, { code }) => {
      const refusal = allowed(actor)
      return refusal ? err(refusal) : ok(book.stateOf(code))
    },
  })
  rpc.serve({
    ...shared,
    name: METHODS.complete,
    input: Code.extend({
      name: z.string().min(1).max(255).optional(),
      words: z.string().max(256).optional(),
      allowLegacy: z.boolean(),
    }),
    run: async (actor, { code, name, words, allowLegacy }, from) => {
      const choice = { allowLegacy, ...(name === undefined ? {} : { name }), ...(words === undefined ? {} : { words }) }
      return await completeHere({ ...deps, book }, actor, { code, choice, from })
    },
  })
  rpc.serve({
    ...shared,
    name: METHODS.refuse,
    input: Code,
    run: async (actor, { code }) => {
      const refusal = allowed(actor)
      const found = refusal ? err(refusal) : book.find(code)
      if (!found.ok) return found
      book.refuse(found.value)
      return ok(null)
    },
  })
}

const recordOf = ({ code, request, address, words, expiresAtMs }: Pairing): z.infer<typeof PendingRecord> => ({
  code,
  name: request.name ?? request.agent.hostname ?? '',
  kind: request.node ? 'node' : 'agent',
  platform: request.agent.platform ?? '',
  hostname: request.agent.hostname ?? '',
  address,
  words: words ?? null,
  expiresAt: new Date(expiresAtMs).toISOString(),
})

/** This gateway, and the others that are there. */
function gateways({ self, membership, presence }: PairingServiceDeps): PeerId[] {
  const others = [...membership.current().members.values()].filter(
    ({ peer, capabilities }) =>
      peer !== self && capabilities.has('gateway') && ['online', 'stale'].includes(presence.state(peer)),
  )
  return [self, ...others.map(({ peer }) => peer)]
}

async function list(
  deps: PairingServiceDeps,
  actor: Actor,
): Promise<Result<{ pairings: PendingPairing[]; unreachable: string[] }>> {
  if (!can(actor, 'machine:write')) return err(domainError('forbidden'))
  const asked = gateways(deps)
  const reply = z.array(PendingRecord)
  const answers = await Promise.all(
    asked.map((peer) => deps.rpc.call(peer, METHODS.list, { actor, input: {}, reply, timeoutMs: ANSWER_MS })),
  )
  const pairings: PendingPairing[] = []
  const unreachable: string[] = []
  for (const [i, answer] of answers.entries()) {
    const gateway = deps.nameOf(asked[i] ?? deps.self)
    if (answer.ok) pairings.push(...answer.value.map((pending) => ({ ...pending, gateway })))
    else unreachable.push(gateway)
  }
  return ok({ pairings: pairings.toSorted((a, b) => a.expiresAt.localeCompare(b.expiresAt)), unreachable })
}

type Holders = { readonly code: string; readonly pending: readonly PeerId[]; readonly over: readonly PeerId[] }

/**
 * The gateways that know the code. All are asked: a stranger that has seen somebody's code could start a pairing of its
 * own under it at another gateway.
 */
async function holders(deps: PairingServiceDeps, actor: Actor, typed: string): Promise<Result<Holders>> {
  if (!can(actor, 'machine:write')) return err(domainError('forbidden'))
  const code = typedPairingCode(typed)
  if (code === undefined) return err(domainError('pairing_not_found'))
  const asked = gateways(deps)
  const request = { actor, input: { code }, reply: State, timeoutMs: ANSWER_MS }
  const states = await Promise.all(asked.map((peer) => deps.rpc.call(peer, METHODS.find, request)))
  const inState = (state: z.infer<typeof State>): PeerId[] =>
    asked.filter((_, i) => {
      const answer = states[i]
      return answer?.ok === true && answer.value === state
    })
  return ok({ code, pending: inState('pending'), over: inState('over') })
}

async function complete(
  deps: PairingServiceDeps,
  actor: Actor,
  { code: typed, choice }: { code: string; choice: CompletionChoice },
): Promise<Result<CompletedPairing>> {
  const held = await holders(deps, actor, typed)
  if (!held.ok) return held
  const { code, pending, over } = held.value
  if (pending.length > 1) return err(TWO_UNDER_ONE_CODE)
  const holder = pending[0] ?? over[0]
  if (holder === undefined) return err(domainError('pairing_not_found'))
  return await deps.rpc.call(holder, METHODS.complete, { actor, input: { code, ...choice }, reply: Completed })
}

const TWO_UNDER_ONE_CODE = domainError('pairing_code_taken', {
  message: 'Machines wait under this code at two gateways. Refuse it, and start anew on the machine.',
})

async function refuse(deps: PairingServiceDeps, actor: Actor, typed: string): Promise<Result<null>> {
  const held = await holders(deps, actor, typed)
  if (!held.ok) return held
  const { code, pending, over } = held.value
  const at = pending.length > 0 ? pending : over.slice(0, 1)
  const answers = await Promise.all(
    at.map((peer) => deps.rpc.call(peer, METHODS.refuse, { actor, input: { code }, reply: z.null() })),
  )
  return answers.find(({ ok: isDone }) => !isDone) ?? answers[0] ?? err(domainError('pairing_not_found'))
}
