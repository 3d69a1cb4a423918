import { ok, type Result } from '../../../crdt/result.ts'
import type { Membership } from '../../../protocols/membership/membership.ts'
import type { VoterLog } from '../../../node/services/leases/voter-change.ts'
import type { Counts } from './counts.ts'
import type { Prng } from '../ports/prng.ts'
import type { SimNetwork } from '../ports/sim-network.ts'
import type { VirtualTime } from '../ports/virtual-time.ts'
import { withRecord, type LogRecord } from './sim-membership.ts'
import type { SimHost } from './sim-host.ts'

/** A record reaches each node within this time, where there is a way. */
const NEWS_MS_MAX = 6000
const RETRY_MS = 2000
/** Until a record is durable where it was written. */
const WRITE_MS_MAX = 50

type Deps = {
  readonly time: VirtualTime
  readonly prng: Prng
  readonly network: SimNetwork
  readonly counts: Counts
}

/** Stands for the replicated membership log: every node keeps what it has heard of, and tells the others. */
export class MeshLog {
  readonly #deps: Deps
  readonly #hosts: readonly SimHost[]
  readonly #known = new Map<LogRecord, Set<SimHost>>()
  /** Everything that was ever written, as nobody but the simulator knows it. */
  all: Membership

  constructor(deps: Deps, hosts: readonly SimHost[], founding: Membership) {
    this.#deps = deps
    this.#hosts = hosts
    this.all = founding
  }

  /** The port of one process. A process that dies while it writes may or may not have written. */
  port(host: SimHost, isAlive: () => boolean): VoterLog {
    const publish = (record: LogRecord): Promise<Result<unknown>> =>
      new Promise((resolve) => {
        const isKept = this.#deps.prng.chance(0.5)
        this.#deps.time.after(this.#deps.prng.between(1, WRITE_MS_MAX), () => {
          if (!isAlive() && !isKept) return
          this.write(host, record)
          if (isAlive()) resolve(ok(null))
        })
      })
    const by = host.peer
    return {
      publishSealed: (bytes) => {
        if (host.changesRunning === 0) this.#deps.counts.sealedFinished += 1
        return publish({ is: 'voters', set: { kind: 'sealed', bytes, by } })
      },
      publishForced: (bytes, reason) => publish({ is: 'voters', set: { kind: 'forced', bytes, reason, by } }),
      publishFault: (proof) => publish({ is: 'fault', proof }),
    }
  }

  write(at: SimHost, record: LogRecord): void {
    this.all = withRecord(this.all, record)
    const knowing = new Set([at])
    this.#known.set(record, knowing)
    at.learn(record)
    for (const host of this.#hosts) if (host !== at) this.#bringLater(record, { host, knowing }, NEWS_MS_MAX)
  }

  /** Whether every node knows everything. */
  get isSettled(): boolean {
    return [...this.#known.values()].every(({ size }) => size === this.#hosts.length)
  }

  #bringLater(record: LogRecord, to: { host: SimHost; knowing: Set<SimHost> }, withinMs: number): void {
    const { time, prng, network } = this.#deps
    time.after(prng.between(0, withinMs), () => {
      const { host, knowing } = to
      const isHeard = host.isAwake && [...knowing].some((from) => from.isAwake && network.isOpen(from.peer, host.peer))
      if (!isHeard) return this.#bringLater(record, to, RETRY_MS)
      knowing.add(host)
      host.learn(record)
    })
  }
}
