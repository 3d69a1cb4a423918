import nacl from 'tweetnacl'
import { z } from 'zod'
import { MeshId, PeerId } from '../../crdt/ids.ts'
import { fromHex, toHex } from '../../protocols/codec.ts'
import { MemberName } from '../../protocols/membership/records.ts'
import {
  PAIRING_CODE,
  PAIRING_NONCE_BYTES,
  pairingCommitment,
  pairingDigest,
  type PairingGateway,
} from '../../protocols/pairing.ts'
import { parseTicket } from '../../protocols/ticket.ts'
import { pairingWords } from '../adapters/pairing-words.ts'
import { systemClock } from '../adapters/system-clock.ts'
import { systemRandom } from '../adapters/system-random.ts'
import { CommandFailure, EXIT } from './exit.ts'
import type { Identity } from './identity.ts'
import type { GatewayLink, LinkAnswer } from './pairing-link.ts'

/** What the poll waits for at the gateway, and how long until the next try where there was no answer. */
const WAIT_S = 25
const POLL_MS = (WAIT_S + 10) * 1000
const AGAIN_MS = 3000
const ASK_MS = 15_000

const hex32 = z
  .hex()
  .length(64)
  .lowercase()
  .transform((text) => fromHex(text))
const base64 = z.base64().transform((text) => new Uint8Array(Buffer.from(text, 'base64')))
const Opened = z.object({
  code: z.string().regex(PAIRING_CODE),
  token: z.string().regex(/^[\x21-\x7e]{1,512}$/),
  expires_at: z.iso.datetime(),
  gateway: z.object({
    mesh_id: MeshId,
    peer_id: PeerId,
    box_key: hex32,
    nonce: hex32,
    tls_fingerprint: z
      .string()
      .regex(/^[0-9A-F]{2}(:[0-9A-F]{2}){31}$/)
      .nullable(),
  }),
})
const Polled = z.object({ sealed: z.object({ nonce: base64, box: base64 }).nullable() })
const Letter = z.object({ ticket: z.string().max(4096), name: MemberName })
export type PairingLetter = z.infer<typeof Letter>

/** A pairing under way, seen from the machine. */
export type StartedPairing = {
  readonly code: string
  readonly words: string
  readonly expiresAt: string
  /** Resolves when somebody has completed it. @throws CommandFailure when it was refused or has expired */
  wait(signal: AbortSignal): Promise<PairingLetter>
  /** Tells the gateway, as far as it listens. */
  cancel(): Promise<void>
}

/** What the machine says of itself; only helps a person to recognise it. */
export type PairingSelf = { readonly name: string; readonly agentInfo: Readonly<Record<string, string>> }

/** Starts a pairing of this node. @throws CommandFailure; what the network throws */
export async function startPairing(
  link: GatewayLink,
  { crypto, signer, box }: Identity,
  self: PairingSelf,
  signal: AbortSignal,
): Promise<StartedPairing> {
  const machine = { peer: signer.peer, boxKey: box.publicKey }
  const nonce = systemRandom.bytes(PAIRING_NONCE_BYTES).slice()
  const ask = async (...[method, path, options]: Parameters<GatewayLink['ask']>): Promise<LinkAnswer> =>
    await link.ask(method, path, { ...options, signal: AbortSignal.any([options.signal, AbortSignal.timeout(ASK_MS)]) })
  const opened = succeeded(
    Opened,
    await ask('POST', '/api/pairing/initiate', {
      signal,
      body: {
        agent_info: self.agentInfo,
        name: self.name,
        node: {
          peer_id: machine.peer,
          box_key: toHex(machine.boxKey),
          commitment: toHex(pairingCommitment(crypto, machine, nonce)),
        },
      },
    }),
  )
  const { code, token, expires_at: expiresAt, gateway: said } = opened
  const gateway: PairingGateway = {
    mesh: said.mesh_id,
    peer: said.peer_id,
    boxKey: said.box_key,
    nonce: said.nonce,
    tlsFingerprint: said.tls_fingerprint,
  }
  checkCertificate(link, gateway)
  const path = `/api/pairing/${code}`
  const cancel = async (): Promise<void> => {
    await ask('DELETE', path, { token, signal: new AbortController().signal }).catch(() => undefined) // it expires
  }
  try {
    succeeded(z.null(), await ask('POST', `${path}/reveal`, { token, signal, body: { nonce: toHex(nonce) } }))
  } catch (error) {
    await cancel()
    throw error
  }
  return {
    code,
    words: pairingWords(pairingDigest(crypto, { code, machine, nonce, gateway })),
    expiresAt,
    cancel,
    wait: async (waiting) => {
      const sealed = await pollUntilCompleted(link, { path, token, expiresAt }, waiting)
      const letter = readLetter(nacl.box.open(sealed.box, sealed.nonce, gateway.boxKey, box.secretKey))
      const ticket = parseTicket(crypto, letter.ticket, systemClock.wallMs())
      if (!ticket.ok) throw new CommandFailure(ticket.error.message, EXIT.refused, { code: ticket.error.code })
      if (ticket.value.mesh !== gateway.mesh || ticket.value.inviter !== gateway.peer) throw notFromThere()
      return letter
    },
  }
}

/** Whoever ends the TLS in between shows another certificate than the gateway has. A proxy does so by right: null then. */
function checkCertificate(link: GatewayLink, { tlsFingerprint }: PairingGateway): void {
  const shown = link.fingerprint()
  if (tlsFingerprint === null || shown === null || tlsFingerprint === shown) return
  throw new CommandFailure(
    `The gateway says that its certificate has SHA-256 ${tlsFingerprint}, but the connection shows ${shown}: something sits in between.`,
    EXIT.refused,
    { code: 'wrong_certificate' },
  )
}

type Poll = { readonly path: string; readonly token: string; readonly expiresAt: string }
type Sealed = NonNullable<z.infer<typeof Polled>['sealed']>

async function pollUntilCompleted(
  link: GatewayLink,
  { path, token, expiresAt }: Poll,
  signal: AbortSignal,
): Promise<Sealed> {
  for (;;) {
    const answer = await link
      .ask('GET', `${path}?wait=${WAIT_S}`, { token, signal: AbortSignal.any([signal, AbortSignal.timeout(POLL_MS)]) })
      .catch((error: unknown) => {
        signal.throwIfAborted()
        if (error instanceof CommandFailure || Date.now() > Date.parse(expiresAt)) throw error
        return undefined // the gateway may be restarting: it says soon enough if it has forgotten us
      })
    if (answer?.status === 200) {
      const { sealed } = succeeded(Polled, answer)
      if (sealed) return sealed
      throw new CommandFailure('The pairing was completed, but what came of it has been fetched already.', EXIT.refused)
    }
    if (answer !== undefined && answer.status !== 202 && answer.status !== 429) throw refusalOf(answer)
    if (answer?.status !== 202) await pause(answer?.retryAfterMs ?? AGAIN_MS, signal)
  }
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const onAbort = (): void => {
      clearTimeout(timer)
      reject(signal.reason instanceof Error ? signal.reason : new Error('cancelled'))
    }
    const timer = setTimeout(() => {
      signal.removeEventListener('abort', onAbort)
      resolve()
    }, ms)
    signal.addEventListener('abort', onAbort, { once: true })
  })
}

/** What is in the sealed letter. @throws CommandFailure where it is none */
export function readLetter(bytes: Uint8Array | null): PairingLetter {
  if (bytes === null) throw notFromThere()
  try {
    return Letter.parse(JSON.parse(new TextDecoder().decode(bytes)))
  } catch {
    throw notFromThere()
  }
}

const notFromThere = (): CommandFailure =>
  new CommandFailure(
    'What came back is not from the gateway whose words were shown, or not for this machine. Nothing was joined.',
    EXIT.refused,
    { code: 'not_from_gateway' },
  )

const Enveloped = z.object({ data: z.unknown() })

/** @throws CommandFailure with what the gateway says, or that it is no gateway of ours */
function succeeded<T extends z.ZodType>(schema: T, answer: LinkAnswer): z.infer<T> {
  if (answer.status >= 400) throw refusalOf(answer)
  const parsed = schema.safeParse(Enveloped.safeParse(answer.body).data?.data)
  if (!parsed.success)
    throw new CommandFailure('That is not the gateway of a Rookery mesh, or one of another release.', EXIT.refused, {
      code: 'not_a_gateway',
    })
  return parsed.data
}

const Failure = z.object({ error: z.object({ code: z.string().max(64), message: z.string() }) })
const MESSAGE_CHARS_MAX = 400

function refusalOf({ status, body, retryAfterMs }: LinkAnswer): CommandFailure {
  if (status === 429 && retryAfterMs !== undefined)
    return new CommandFailure(
      `The gateway has been asked too often; try again in ${Math.ceil(retryAfterMs / 1000)} s.`,
      EXIT.refused,
      { code: 'rate_limited' },
    )
  const { error } = Failure.safeParse(body).data ?? {}
  if (!error) return new CommandFailure(`The gateway answered ${status}.`, EXIT.refused)
  // oxlint-disable-next-line no-control-regex -- what others say goes to the terminal
  const message = error.message.replace(/[\u0000-\u001f\u007f-\u009f]+/g, ' ').slice(0, MESSAGE_CHARS_MAX)
  return new CommandFailure(message, EXIT.refused, { code: error.code })
}
