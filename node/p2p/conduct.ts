import type { PeerId } from '../../crdt/ids.ts'
import type { Clock } from '../ports/clock.ts'

/** Channels a peer may open on us at once and then per second: a gateway with all its terminals comes back at once. */
const OPENINGS = { burst: 512, perSecond: 8 }
/** Channels that our own side had to abort because of what came: an honest peer has none. */
const FAILURES = { burst: 16, perSecond: 0.2 }
/** Peers that opened something lately; with more, the one quiet for longest starts afresh. */
const PEERS_MAX = 4096

type Bucket = { tokens: number; atMs: number }
type Account = { readonly openings: Bucket; readonly failures: Bucket }

/**
 * What peers do with channels: how many they open, and how many end because of what they said. One that exceeds either
 * gets no new channel until it has been quiet for a while; its connection stays.
 */
export class Conduct {
  readonly #clock: Pick<Clock, 'monoMs'>
  readonly #complain: (peer: PeerId, what: string) => void
  readonly #accounts = new Map<PeerId, Account>()

  constructor(clock: Pick<Clock, 'monoMs'>, complain: (peer: PeerId, what: string) => void) {
    this.#clock = clock
    this.#complain = complain
  }

  /** Whether the peer may open another channel; counted. */
  mayOpen(peer: PeerId): boolean {
    const { openings, failures } = this.#accountOf(peer)
    const isFaulty = this.#refill(failures, FAILURES) < 1
    if (!isFaulty && this.#refill(openings, OPENINGS) >= 1) {
      openings.tokens--
      return true
    }
    this.#complain(peer, isFaulty ? 'sends what breaks the rules of a protocol' : 'opens too many channels')
    return false
  }

  /** A handler of ours gave up on a channel. */
  failed(peer: PeerId, protocol: string): void {
    const { failures } = this.#accountOf(peer)
    failures.tokens = Math.max(0, this.#refill(failures, FAILURES) - 1)
    this.#complain(peer, `breaks the rules of ${protocol}`)
  }

  #refill(bucket: Bucket, { burst, perSecond }: { burst: number; perSecond: number }): number {
    const nowMs = this.#clock.monoMs()
    bucket.tokens = Math.min(burst, bucket.tokens + ((nowMs - bucket.atMs) / 1000) * perSecond)
    bucket.atMs = nowMs
    return bucket.tokens
  }

  #accountOf(peer: PeerId): Account {
    const atMs = this.#clock.monoMs()
    const account = this.#accounts.get(peer) ?? {
      openings: { tokens: OPENINGS.burst, atMs },
      failures: { tokens: FAILURES.burst, atMs },
    }
    this.#accounts.delete(peer)
    this.#accounts.set(peer, account)
    for (const oldest of this.#accounts.keys()) {
      if (this.#accounts.size <= PEERS_MAX) break
      this.#accounts.delete(oldest)
    }
    return account
  }
}
