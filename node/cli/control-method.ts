import { userInfo } from 'node:os'
import { z } from 'zod'
import type { Actor } from '../../crdt/actor.ts'
import type { PeerId } from '../../crdt/ids.ts'
import type { Result } from '../../crdt/result.ts'
import type { HeldMail } from '../adapters/held-mail.ts'
import type { MetricsPage } from '../ports/metrics.ts'
import type { Restoration } from '../services/feeds/restoration.ts'
import type { Services } from '../services/services.ts'
import type { LoadedConfig } from './config.ts'
import type { HealthView } from './health-view.ts'
import type { StorageView } from './storage-view.ts'

/** What people compare when their browser does not know the certificate. */
export type CertificateView = { readonly fingerprint: string; readonly validUntil: string }

/** What the command line may ask of the running node, over its 0600 socket. */
export type ControlContext = {
  readonly services: Services
  readonly restoration: Restoration
  readonly storage: { view(): Promise<StorageView>; budget(): readonly string[] }
  readonly self: PeerId
  /** What the node was started with. */
  readonly config: LoadedConfig
  /** Mails to users that this node cannot send. */
  readonly heldMails: () => readonly HeldMail[]
  readonly metrics: MetricsPage
  /** Null without TLS. */
  readonly certificate: CertificateView | null
  readonly health: () => Promise<HealthView>
  /** Whether nothing would be lost by joining another mesh. */
  readonly mayJoin: () => Promise<boolean>
  readonly join: (ticket: string, name?: string) => Promise<Result<{ mesh_id: string; peer_id: string }>>
  readonly leave: () => Promise<Result<null>>
  /** Answers before the node has stopped, with the process to wait for. */
  readonly shutDown: (options: { killSessions: boolean }) => Promise<Result<{ pid: number }>>
}

export type ControlMethod = {
  readonly input: z.ZodType
  /** `signal` aborts when whoever asked has gone away. */
  readonly run: (context: ControlContext, input: unknown, signal: AbortSignal) => Promise<Result<unknown>>
}

/** Whoever can open the socket owns the node: it is the node's own user. */
export const localActor = (self: PeerId): Actor => ({
  kind: 'local',
  id: 'local',
  tokenId: `local:${self}`,
  abilities: ['*'],
  gateway: self,
})

/** Who acts when nobody is named: the node's own user, under the machine's name, which tells it from other machines'. */
export const localInstance = ({ services, self }: ControlContext): string => {
  const name = services.mesh.members().find(({ peerId }) => peerId === self)?.name ?? self
  return `${userName()}@${name}`
}

/** Where no account has this number, as in some containers, there is no name to ask for. */
function userName(): string {
  try {
    return userInfo().username
  } catch {
    return `uid-${process.getuid?.() ?? 0}`
  }
}

/** Lists are asked for in one piece; a mesh has at most this many of anything that the command line lists. */
export const PAGE = { page: 1, perPage: 100_000 }

/** Left out: the user of this node. */
export const instance = z.string().min(1).max(128).exactOptional()

/** Input is parsed before `run` gets it. */
export function method<T extends z.ZodType>(
  input: T,
  run: (context: ControlContext, input: z.infer<T>, signal: AbortSignal) => Promise<Result<unknown>>,
): ControlMethod {
  return { input, run: (context, value, signal) => run(context, input.parse(value), signal) }
}
