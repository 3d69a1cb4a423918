import type { PeerId } from '../../../crdt/ids.ts'
import { toHex } from '../../../protocols/codec.ts'
import { Claim, type ClaimEnv, type ClaimEvent, type ClaimSpec } from '../../../protocols/lease/claimant.ts'
import type { VoterSet } from '../../../protocols/lease/config.ts'
import type { LeaseMessage } from '../../../protocols/lease/frame.ts'
import type { Deny, Grant, LeaseRequest, Position } from '../../../protocols/lease/messages.ts'
import type { Draft, Signatures, Signed } from '../../../protocols/lease/signing.ts'
import type { Instant, LeaseTimings } from '../../../protocols/lease/timings.ts'
import { every, type Cancel, type Clock } from '../../ports/clock.ts'
import { randomFraction, type Random } from '../../ports/random.ts'
import type { Outbox } from './lease-outbox.ts'

export type RunningClaim = {
  readonly claim: Claim
  /** Ends the use of the lease at once, then tells the voters, now and once more. */
  release(after?: Position): void
}

type Running = RunningClaim & { readonly onEvent: (event: ClaimEvent) => void; cancel: Cancel }

export type ClaimsDeps = {
  readonly signatures: Signatures
  readonly outbox: Outbox
  readonly send: (to: readonly PeerId[], message: LeaseMessage) => void
  readonly voters: () => VoterSet
  readonly isExcluded: ClaimEnv['isExcluded']
  readonly clock: Clock
  readonly random: Random
  readonly timings: LeaseTimings
  /** Told of every grant whose signature was checked. */
  readonly onGrant: (grant: Signed<Grant>, request: Draft<LeaseRequest>) => void
}

/** The claims of this node, driven by the clock and by what the voters answer. */
export class Claims {
  readonly #deps: ClaimsDeps
  readonly #running = new Map<string, Running>()
  /** The latest grant of each voter's incarnation. */
  readonly #latest = new Map<string, Signed<Grant>>()
  readonly #releaser: ReturnType<typeof createReleaser>
  readonly #wakeUps: ReturnType<typeof createWakeUps<Running>>
  readonly #stopWatchdog: Cancel
  #instant: Instant | undefined
  /** Highest token number known; after a restart it is learned anew, from the first refusal. */
  #known = 0

  constructor(deps: ClaimsDeps) {
    this.#deps = deps
    this.#releaser = createReleaser(deps)
    this.#wakeUps = createWakeUps(deps.clock, (one) => this.#step(one))
    this.#stopWatchdog = watchForSuspend(deps, () => this.wake())
  }

  get count(): number {
    return this.#running.size
  }

  /** A token number above all that are known. */
  nextToken(): number {
    return this.#known + 1
  }

  learnToken(n: number): void {
    this.#known = Math.max(this.#known, n)
  }

  /** Looks at every claim at once: the host has slept, or the voter set has changed. */
  wake(): void {
    for (const one of this.#running.values()) this.#step(one)
  }

  start(spec: ClaimSpec, onEvent: (event: ClaimEvent) => void): RunningClaim {
    const claim = new Claim(this.#env(), spec)
    const one: Running = {
      claim,
      onEvent,
      cancel: () => undefined,
      release: (after) => {
        one.cancel()
        if (this.#running.delete(spec.lid)) this.#releaser.send(claim.release(after))
      },
    }
    this.#running.set(spec.lid, one)
    // So that the caller knows the claim before it hears of it.
    queueMicrotask(() => this.#step(one))
    return one
  }

  granted(grant: Signed<Grant>): void {
    const one = this.#running.get(grant.body.lid)
    const now = this.#now()
    if (one) this.#settle(one, one.claim.onGrant(grant, now), now)
  }

  denied(voter: PeerId, deny: Deny): void {
    const one = this.#running.get(deny.lid)
    const now = this.#now()
    if (one) this.#settle(one, one.claim.onDeny(voter, deny, now), now)
  }

  evidence(voter: string, inc: string): Signed<Grant> | undefined {
    return this.#latest.get(`${voter}/${inc}`)
  }

  close(): void {
    this.#stopWatchdog()
    this.#releaser.close()
    for (const { cancel } of this.#running.values()) cancel()
    this.#running.clear()
  }

  #env(): ClaimEnv {
    const { signatures, voters, isExcluded, timings, random, outbox, onGrant } = this.#deps
    return {
      signatures,
      voters,
      isExcluded,
      timings,
      nonce: () => toHex(random.bytes(16)),
      fraction: () => randomFraction(random),
      nextToken: () => this.nextToken(),
      seen: () => this.#seen(voters()),
      signed: (request) => outbox.signed(request),
      noteGrant: (grant, request) => {
        const { voter, inc, vseq } = grant.body
        const known = this.evidence(voter, inc)
        if (!known || known.body.vseq < vseq) this.#latest.set(`${voter}/${inc}`, grant)
        onGrant(grant, request)
      },
    }
  }

  #seen({ incarnations }: VoterSet): Record<string, number> {
    const seen: Record<string, number> = {}
    for (const [peer, inc] of incarnations) {
      const latest = this.evidence(peer, inc)
      if (latest) seen[`${peer}/${inc}`] = latest.body.vseq
    }
    return seen
  }

  /**
   * One for all that is done without a pause: asking the system for it costs as much as a decision. A lease is judged
   * by the clocks of the moment whenever it is used, so it does no harm here if the process stood still meanwhile.
   */
  #now(): Instant {
    if (this.#instant === undefined) queueMicrotask(() => (this.#instant = undefined))
    return (this.#instant ??= instantOf(this.#deps.clock))
  }

  #step(one: Running): void {
    const now = this.#now()
    const { send: transmission, event } = one.claim.poll(now)
    if (transmission) this.#deps.outbox.post(transmission.to, { t: 'request', m: transmission.request })
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
function createReleaser({ signatures, clock, timings, send }: ClaimsDeps): {
  send: (release: ReturnType<Claim['release']>) => void
  close: () => void
} {
  const pending = new Set<Cancel>()
  return {
    send({ release, to }) {
      send(to, { t: 'release', m: release })
      const remote = to.filter((peer) => peer !== signatures.self)
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
