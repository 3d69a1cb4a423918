/** Every duration of the lease protocol. Nodes of one mesh may differ: only `margin` carries safety. */
export type LeaseTimings = {
  /** Length of a renewed lease. */
  readonly ttlMs: number
  /** Length of the very first grant: what a half-finished attempt can block at most. */
  readonly holdMs: number
  /** The holder stops at this part of the ttl: clocks may run 10 % apart. */
  readonly margin: number
  /** After the first grant: a lease given back sooner costs one round. */
  readonly firstRenewMs: number
  /** Renewals start at this part of the ttl. */
  readonly renewAt: number
  /** Renewals fall on multiples of this, so that those of many leases share frames and syncs. */
  readonly renewGridMs: number
  /** Pause between failing renewals, drawn between the two. */
  readonly renewRetryMinMs: number
  readonly renewRetryMaxMs: number
  readonly requestTimeoutMs: number
  /** The same bytes are sent again to the voters that have not answered. */
  readonly retransmitMs: number
  /** Pause before the next attempt: doubled each time up to the maximum, times U(0.5, 1.5). */
  readonly backoffMs: number
  readonly backoffMaxMs: number
  /** Pause after a refusal that says what to do better (`stale`). */
  readonly staleRetryMs: number
  readonly resumeRounds: number
  /** An acquire answers within this plus what the caller is willing to wait. */
  readonly answerMs: number
  /** Of that, at most this for the previous holder's last writes to arrive. */
  readonly afterMs: number
  readonly releaseAgainMs: number
  /** A voter that sealed its epoch completes the decision after once to twice this. */
  readonly completeSealedMs: number
  readonly watchdogMs: number
  /** Clocks that drift apart by more than this within one watchdog period: the host slept. */
  readonly suspendGapMs: number
}

export const DEFAULT_TIMINGS: LeaseTimings = {
  ttlMs: 60_000,
  holdMs: 10_000,
  margin: 0.9,
  firstRenewMs: 500,
  renewAt: 1 / 3,
  renewGridMs: 250,
  renewRetryMinMs: 300,
  renewRetryMaxMs: 1000,
  requestTimeoutMs: 5000,
  retransmitMs: 1000,
  backoffMs: 100,
  backoffMaxMs: 8000,
  staleRetryMs: 20,
  resumeRounds: 3,
  answerMs: 3000,
  afterMs: 2000,
  releaseAgainMs: 1000,
  completeSealedMs: 10_000,
  watchdogMs: 1000,
  suspendGapMs: 2000,
}

/** The three clocks of a host at one moment. */
export type Instant = { readonly monoMs: number; readonly bootMs: number; readonly wallMs: number }

/** By the fastest of the clocks: the only one that never says too little. */
export const elapsedMs = (since: Instant, now: Instant): number =>
  Math.max(now.monoMs - since.monoMs, now.bootMs - since.bootMs, now.wallMs - since.wallMs)

/** Pause before attempt number `attempt` (the first retry is 0); `fraction` is uniform in [0, 1). */
export const backoffMs = (timings: LeaseTimings, attempt: number, fraction: number): number =>
  Math.min(timings.backoffMs * 2 ** attempt * (0.5 + fraction), timings.backoffMaxMs)
