import type { PeerId } from '../../../crdt/ids.ts'
import { compareSets, type Epoch } from '../../../protocols/lease/epochs.ts'
import type { SealVote } from '../../../protocols/lease/ballot.ts'
import type { Estate } from '../../../protocols/lease/estate.ts'
import type { Clock } from '../../ports/clock.ts'
import type { Log } from '../../ports/log.ts'
import type { EstateExchange } from './estate-exchange.ts'
import type { LeaseVoter } from './lease-voter.ts'
import type { VoterSets } from './voter-sets.ts'

/**
 * So long the voters before are asked for what they promised. After that they are taken for gone, and their promises are
 * waited out.
 */
const ESTATE_PATIENCE_MS = 60_000

export type AdoptionDeps = {
  readonly sets: VoterSets
  readonly voter: LeaseVoter
  readonly exchange: EstateExchange
  readonly clock: Clock
  readonly log: Log
  readonly closing: AbortSignal
}

/** Brings this node's voter into the current epoch, whenever there is a new one. */
export class VoterAdoption {
  readonly #deps: AdoptionDeps
  #running: { readonly epoch: Epoch; readonly stop: AbortController; readonly done: Promise<void> } | undefined

  constructor(deps: AdoptionDeps) {
    this.#deps = deps
  }

  /** To be called when the membership log may know of a new epoch. */
  catchUp(): void {
    const { sets, voter, closing, log } = this.#deps
    const epoch = sets.current()
    if (!epoch || closing.aborted || voter.needs(epoch) === undefined) return
    if (this.#running && compareSets(this.#running.epoch.set, epoch.set) >= 0) return
    this.#running?.stop.abort(new Error('there is a newer epoch'))
    const stop = new AbortController()
    const done = this.#adopt(epoch, AbortSignal.any([stop.signal, closing]))
      .catch((error: unknown) =>
        log.error({ err: error, epoch: epoch.set.epoch }, 'this voter could not enter its epoch'),
      )
      .finally(() => {
        if (this.#running?.epoch === epoch) this.#running = undefined
      })
    this.#running = { epoch, stop, done }
  }

  async close(): Promise<void> {
    this.#running?.stop.abort(new Error('closing'))
    await this.#running?.done
  }

  async #adopt(epoch: Epoch, signal: AbortSignal): Promise<void> {
    const { voter, log } = this.#deps
    const needs = voter.needs(epoch)
    if (needs === 'nothing') return await voter.adopt(epoch, [])
    const estates = needs === 'estates' ? await this.#fetch(epoch, signal) : undefined
    if (signal.aborted) return
    if (!estates)
      log.warn({ epoch: epoch.set.epoch }, 'promises of the voters before are unknown: waiting until they have ended')
    await voter.adopt(epoch, estates ?? 'time')
  }

  /** Of as many of the voters before as had to agree: whatever lease is valid, one of them knows it. */
  async #fetch({ set, origin }: Epoch, signal: AbortSignal): Promise<Estate[] | undefined> {
    const { sets, voter, exchange, clock } = this.#deps
    const { prev, by } = set.config.body
    const before = prev && sets.find(prev)
    if (origin.is !== 'sealed' || !before) return undefined
    const quorum = before.set.quorum
    const successors = [by, ...set.incarnations.keys()]
    const patience = new AbortController()
    const cancel = clock.after(ESTATE_PATIENCE_MS, () => patience.abort(new Error('a voter before does not answer')))
    try {
      const all = AbortSignal.any([signal, patience.signal])
      return await firstOf(quorum, origin.seals, async (seal) => {
        const fetched = await exchange.fetch(seal, sourcesOf(seal, successors), all)
        if (fetched) voter.keepEstate(fetched.packed)
        return fetched?.estate
      })
    } finally {
      cancel()
      patience.abort(new Error('done'))
    }
  }
}

const sourcesOf = ({ voter }: SealVote, successors: readonly PeerId[]): PeerId[] => [...new Set([voter, ...successors])]

/** The first `count` answers that are there, or undefined when fewer come. */
function firstOf<T, R>(
  count: number,
  items: readonly T[],
  ask: (item: T) => Promise<R | undefined>,
): Promise<R[] | undefined> {
  return new Promise((resolve, reject) => {
    const found: R[] = []
    let left = items.length
    for (const item of items) {
      ask(item).then((answer) => {
        left -= 1
        if (answer !== undefined) found.push(answer)
        if (found.length === count) resolve(found)
        else if (left === 0) resolve(undefined)
      }, reject)
    }
  })
}
