import type { PeerId } from '../../../crdt/ids.ts'
import { toHex } from '../../../protocols/codec.ts'
import { Claim, type ClaimEnv, type ClaimEvent, type ClaimSpec } from '../../../protocols/lease/claimant.ts'
import type { VoterSet } from '../../../protocols/lease/config.ts'
import type { LeaseMessage } from '../../../protocols/lease/frame.ts'
import type { Grant, Position, Release } from '../../../protocols/lease/messages.ts'
import type { Keys } from '../../../protocols/lease/signing.ts'
import type { Instant, LeaseTimings } from '../../../protocols/lease/timings.ts'
import { every, type Cancel, type Clock } from '../../ports/clock.ts'
import { randomFraction, type Random } from '../../ports/random.ts'

export type RunningClaim = {
  readonly claim: Claim
  /** Ends the use of the lease at once, then tells the voters, now and once more. */
  release(after?: Position): void
}

type Running = RunningClaim & { readonly onEvent: (event: ClaimEvent) => void; cancel: Cancel }

export type ClaimsDeps = {
  readonly keys: Keys
  readonly clock: Clock
  readonly random: Random
  readonly timings: LeaseTimings
  readonly send: (to: readonly PeerId[], message: LeaseMessage) => void
}

/** The claims of this node, driven by the clock and by what the voters answer. */
export class Claims {
  readonly #deps: ClaimsDeps
  readonly #running = new Map<string, Running>()
  /** The latest grant of each voter's incarnation. */
  readonly #latest = new Map<string, Grant>()
  readonly #releaser: ReturnType<typeof createReleaser>
  readonly #wakeUps: ReturnType<typeof createWakeUps<Running>>
  readonly #stopWatchdog: Cancel

  constructor(deps: ClaimsDeps) {
    this.#deps = deps
    this.#releaser = createReleaser(deps)
    this.#wakeUps = createWakeUps(deps.clock, (one) => this.#step(one))
    this.#stopWatchdog = watchForSuspend(deps, () => {
      for (const one of this.#running.values()) this.#step(one)
    })
  }

  get count(): number {
    return this.#running.size
  }

  start(voters: VoterSet, spec: ClaimSpec, onEvent: (event: ClaimEvent) => void): RunningClaim {
    const claim = new Claim(this.#env(voters), spec)
    const one: Running = {
      claim,
      onEvent,
      cancel: () => undefined,
      release: (after) => {
        one.cancel()
        if (this.#running.delete(spec.lid)) this.#releaser.send(voters, claim.release(after))
      },
    }
    this.#running.set(spec.lid, one)
    this.#step(one)
    return one
  }

  deliver({ t, m }: LeaseMessage & { t: 'grant' | 'deny' }): void {
    const one = this.#running.get(m.lid)
    if (!one) return
    const now = instantOf(this.#deps.clock)
    this.#settle(one, t === 'grant' ? one.claim.onGrant(m, now) : one.claim.onDeny(m, now), now)
  }

  evidence(voter: PeerId, inc: string): Grant | undefined {
    return this.#latest.get(`${voter}/${inc}`)
  }

  close(): void {
    this.#stopWatchdog()
    this.#releaser.close()
    for (const { cancel } of this.#running.values()) cancel()
    this.#running.clear()
  }

  #env(voters: VoterSet): ClaimEnv {
    const { keys, timings, random } = this.#deps
    return {
      keys,
      voters,
      timings,
      nonce: () => toHex(random.bytes(16)),
      fraction: () => randomFraction(random),
      seen: () => this.#seen(voters),
      noteGrant: (grant) => {
        const known = this.evidence(grant.voter, grant.inc)
        if (!known || known.vseq < grant.vseq) this.#latest.set(`${grant.voter}/${grant.inc}`, grant)
      },
    }
  }

  #seen({ incarnations }: VoterSet): Record<string, number> {
    const seen: Record<string, number> = {}
    for (const [peer, inc] of incarnations) {
      const latest = this.evidence(peer, inc)
      if (latest) seen[`${peer}/${inc}`] = latest.vseq
    }
    return seen
  }

  #step(one: Running): void {
    const now = instantOf(this.#deps.clock)
    const { send: transmission, event } = one.claim.poll(now)
    if (transmission) this.#deps.send(transmission.to, { t: 'request', m: transmission.request })
    this.#settle(one, event, now)
  }

  #settle(one: Running, event: ClaimEvent | undefined, now: Instant): void {
    if (event) one.onEvent(event)
    one.cancel()
    if (one.claim.hasEnded) return
    one.cancel = this.#wakeUps.add(one, one.claim.dueMs(now))
  }
}

/** One timer for all that are due in the same millisecond: what they send then shares frames and syncs. */
function createWakeUps<T>(clock: Clock, wake: (item: T) => void): { add: (item: T, atMs: number) => Cancel } {
  const due = new Map<number, Set<T>>()
  return {
    add(item, atMs) {
      const slot = Math.ceil(atMs)
      const items = due.get(slot) ?? new Set()
      if (!due.has(slot)) {
        due.set(slot, items)
        clock.after(timerMs(slot - clock.monoMs()), () => {
          due.delete(slot)
          for (const one of items) wake(one)
        })
      }
      items.add(item)
      return () => items.delete(item)
    },
  }
}

/** Whole milliseconds, rounded up: a timer must not fire a fraction too early and find nothing to do. */
export const timerMs = (ms: number): number => Math.max(0, Math.ceil(ms))

export const instantOf = (clock: Clock): Instant => ({
  monoMs: clock.monoMs(),
  bootMs: clock.bootMs(),
  wallMs: clock.wallMs(),
})

/** Releases are not acknowledged: each goes out twice; to this node's own voter, where nothing gets lost, once. */
function createReleaser({ keys, clock, timings, send }: ClaimsDeps): {
  send: (voters: VoterSet, release: Release) => void
  close: () => void
} {
  const pending = new Set<Cancel>()
  return {
    send({ incarnations }, release) {
      const to = [...incarnations.keys()]
      send(to, { t: 'release', m: release })
      const remote = to.filter((peer) => peer !== keys.signer.peer)
      if (remote.length === 0) return
      const cancel = clock.after(timings.releaseAgainMs, () => {
        pending.delete(cancel)
        send(remote, { t: 'release', m: release })
      })
      pending.add(cancel)
    },
    close() {
      for (const cancel of pending) cancel()
    },
  }
}

/** Timers stand still while the host sleeps; clocks that ran apart give it away. */
function watchForSuspend({ clock, timings }: ClaimsDeps, onResume: () => void): Cancel {
  let before = instantOf(clock)
  return every(clock, timings.watchdogMs, () => {
    const at = instantOf(clock)
    const monoMs = at.monoMs - before.monoMs
    const gapMs = Math.max(at.bootMs - before.bootMs, at.wallMs - before.wallMs) - monoMs
    before = at
    if (gapMs > timings.suspendGapMs) onResume()
  })
}
