import type { PeerId } from '../../../crdt/ids.ts'
import { MalformedError } from '../../../protocols/codec.ts'
import { NOTHING, type Decision, type Reply } from '../../../protocols/lease/decision.ts'
import type { LeaseMessage, SignedMessage } from '../../../protocols/lease/frame.ts'
import type { Signatures } from '../../../protocols/lease/signing.ts'
import type { Voter } from '../../../protocols/lease/voter.ts'
import type { Clock } from '../../ports/clock.ts'
import type { LeaseJournal } from '../../ports/lease-journal.ts'
import type { Log } from '../../ports/log.ts'

/** Messages decided before one sync: bounds how long the first of them waits. */
export const BATCH_MAX = 256
/** Keeps the journal a few MB long and its replay well below a second. */
export const COMPACT_AFTER_RECORDS = 4096

export type Sink = (message: LeaseMessage) => void

/** Something that must go through the voter's journal in order. */
export type Work = (voter: Voter, nowMs: number) => Decision
/** What a voter is asked to do: decide on what a node says, or anything else. */
export type Item = {
  readonly work: { readonly from: PeerId; readonly message: LeaseMessage } | Work
  readonly sink: Sink
  readonly done: () => void
}

type LoopDeps = {
  readonly voter: Voter
  readonly journal: LeaseJournal
  readonly clock: Clock
  readonly signatures: Signatures
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
    const { journal, hint } = this.#deps
    const decisions = batch.map(({ work, sink }) => ({ sink, ...this.#decide(work) }))
    for (const { records } of decisions) for (const record of records) journal.append(record)
    this.#records += decisions.reduce((count, { records }) => count + records.length, 0)
    if (decisions.some(({ mustSync }) => mustSync)) await journal.sync()
    this.#answer(decisions)
    for (const { free } of decisions) for (const { node, lid } of free) hint(node, lid)
    if (this.#records >= this.#compactAt) await this.#compact()
  }

  /** One signature for all answers of the batch that need one. */
  #answer(decisions: readonly { readonly sink: Sink; readonly reply?: Reply }[]): void {
    const { voter, signatures } = this.#deps
    const answers = decisions.flatMap(({ sink, reply }) => (reply && voter.settle(reply) ? [{ sink, reply }] : []))
    const drafts = answers.flatMap(({ reply }) => ('draft' in reply ? [reply.draft] : []))
    const seals = signatures.seal(drafts).values()
    for (const { sink, reply } of answers) {
      if (!('draft' in reply)) {
        // The word and its body come from one row of the union, which the compiler cannot see.
        sink({ t: reply.is, m: reply.body } as LeaseMessage)
        continue
      }
      const seal = seals.next()
      if (!seal.done) sink({ t: reply.is, m: { ...reply.draft, seal: seal.value } } as SignedMessage)
    }
  }

  #decide(work: Item['work']): Decision {
    try {
      return this.#decideOn(work)
    } catch (error) {
      if (!(error instanceof MalformedError)) throw error
      this.#deps.log.warn({ err: error }, 'a lease message cannot be understood')
      return NOTHING
    }
  }

  #decideOn(work: Item['work']): Decision {
    const { voter, clock } = this.#deps
    const nowMs = clock.monoMs()
    if (typeof work === 'function') return work(voter, nowMs)
    const { from, message } = work
    if (message.t === 'request') return voter.decide(from, message.m, nowMs)
    if (message.t === 'release') return voter.release(from, message.m, nowMs)
    if (message.t === 'prepare') return voter.succession.prepare(message.m, nowMs)
    if (message.t === 'accept') return voter.succession.accept(message.m, nowMs)
    if (message.t === 'proof') return this.#accuse(voter.accuse(message.m, nowMs))
    return NOTHING // an answer, and nobody asked
  }

  #accuse(decision: Decision): Decision {
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
