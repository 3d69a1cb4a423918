import type { PeerId } from '../../../crdt/ids.ts'
import type { Crypto, Signer } from '../../../protocols/crypto.ts'
import type { LeaseMessage } from '../../../protocols/lease/frame.ts'
import { signAs, type Keys } from '../../../protocols/lease/signing.ts'
import type { Decision, Reply, Voter } from '../../../protocols/lease/voter.ts'
import type { Clock } from '../../ports/clock.ts'
import type { LeaseJournal } from '../../ports/lease-journal.ts'
import type { Log } from '../../ports/log.ts'

/** Messages decided before one sync: bounds how long the first of them waits. */
export const BATCH_MAX = 256
/** Keeps the journal a few MB long and its replay well below a second. */
export const COMPACT_AFTER_RECORDS = 4096

export type Sink = (message: LeaseMessage) => void

export type Item = { readonly message: LeaseMessage; readonly sink: Sink; readonly done: () => void }

type LoopDeps = {
  readonly voter: Voter
  readonly journal: LeaseJournal
  readonly clock: Clock
  readonly crypto: Crypto
  readonly signer: Signer
  readonly log: Log
  /** Tells a node that was refused that the way of this lease is free. */
  readonly hint: (to: PeerId, lid: string) => void
}

/**
 * Feeds a voter and its journal: decides what has arrived, makes it durable with one sync, and only then answers.
 * What arrives during a sync shares the next one.
 */
export class VoterLoop {
  readonly #deps: LoopDeps
  readonly #inbox: Item[] = []
  #records: number
  #compactAt = COMPACT_AFTER_RECORDS
  #problem: string | undefined
  #isStopped = false
  #pumping: Promise<void> | undefined

  constructor(deps: LoopDeps, records: number) {
    this.#deps = deps
    this.#records = records
  }

  get problem(): string | undefined {
    return this.#problem
  }

  enqueue(item: Item): void {
    this.#inbox.push(item)
    this.#pumping ??= this.#pump()
  }

  /** Answers nothing from now on; resolves when the batch at work has ended. */
  async stop(): Promise<void> {
    this.#isStopped = true
    await this.#pumping
  }

  async #pump(): Promise<void> {
    await Promise.resolve() // so that whatever else arrives in this tick is in the first batch
    for (;;) {
      const batch = this.#inbox.splice(0, BATCH_MAX)
      if (batch.length === 0) break
      try {
        if (!this.#isStopped) await this.#process(batch)
      } catch (error) {
        // Nothing is known about the disk any more: no promise made from here on could be kept.
        this.#isStopped = true
        this.#report('The voter journal could not be written: this voter has stopped.', { err: error })
      }
      for (const { done } of batch) done()
    }
    this.#pumping = undefined
  }

  async #process(batch: readonly Item[]): Promise<void> {
    const { voter, journal, crypto, signer, hint } = this.#deps
    const decisions = batch.map(({ message, sink }) => ({ sink, ...this.#decide(message) }))
    for (const { records } of decisions) for (const record of records) journal.append(record)
    this.#records += decisions.reduce((count, { records }) => count + records.length, 0)
    if (decisions.some(({ mustSync }) => mustSync)) await journal.sync()
    for (const { sink, reply, free } of decisions) {
      if (reply && voter.settle(reply)) sink(sealed({ crypto, signer }, reply))
      for (const { node, lid } of free) hint(node, lid)
    }
    if (this.#records >= this.#compactAt) await this.#compact()
  }

  #decide(message: LeaseMessage): Decision {
    const { voter, clock } = this.#deps
    if (message.t === 'request') return voter.decide(message.m, clock.monoMs())
    if (message.t === 'release') return voter.release(message.m, clock.monoMs())
    if (message.t !== 'proof') return { records: [], mustSync: false, free: [] } // an answer, and nobody asked
    const decision = voter.accuse(message.m, clock.monoMs())
    if (decision.records.length > 0) {
      this.#report('The disk of this voter was rolled back: it has given up its voter identity.', {})
    }
    return decision
  }

  async #compact(): Promise<void> {
    const snapshot = this.#deps.voter.snapshot()
    await this.#deps.journal.compact(snapshot)
    this.#records = snapshot.length
    this.#compactAt = Math.max(COMPACT_AFTER_RECORDS, 2 * snapshot.length)
  }

  #report(problem: string, fields: object): void {
    this.#problem = problem
    this.#deps.log.error(fields, problem)
  }
}

function sealed(keys: Keys, reply: Reply): LeaseMessage {
  if (reply.is === 'grant') return { t: 'grant', m: signAs(keys, 'grant', reply.body) }
  if (reply.is === 'deny') return { t: 'deny', m: signAs(keys, 'deny', reply.body) }
  return { t: 'prove', m: { inc: reply.inc, above: reply.above } }
}
