import type { PeerId } from '../../../crdt/ids.ts'
import { toHex } from '../../../protocols/codec.ts'
import type { VoterSet } from '../../../protocols/lease/config.ts'
import type { LeaseMessage } from '../../../protocols/lease/frame.ts'
import { Proposal, type Decided } from '../../../protocols/lease/proposal.ts'
import type { Packed, Signatures } from '../../../protocols/lease/signing.ts'
import { backoffMs, type LeaseTimings } from '../../../protocols/lease/timings.ts'
import type { Clock } from '../../ports/clock.ts'
import { randomFraction, type Random } from '../../ports/random.ts'
import { timerMs } from './lease-claims.ts'
import type { Outbox } from './lease-outbox.ts'

export type ProposalOutcome =
  | { readonly is: 'decided'; readonly decided: Decided }
  /** Nothing was accepted before, and there was nothing to propose. */
  | { readonly is: 'idle' }
  | { readonly is: 'unanswered'; readonly silent: readonly PeerId[] }

export type ProposalsDeps = {
  readonly signatures: Signatures
  readonly outbox: Outbox
  readonly clock: Clock
  readonly random: Random
  readonly timings: LeaseTimings
}

/** Runs proposals for new voter sets, one at a time. */
export class Proposals {
  readonly #deps: ProposalsDeps
  #running: { readonly proposal: Proposal; readonly look: (decided?: Decided) => void } | undefined
  #turn: Promise<unknown> = Promise.resolve()

  constructor(deps: ProposalsDeps) {
    this.#deps = deps
  }

  receive(message: LeaseMessage): void {
    const running = this.#running
    if (!running) return
    const { proposal, look } = running
    if (message.t === 'promise') proposal.onPromise(message.m)
    else if (message.t === 'outbid') proposal.onOutbid(message.m.ballot, this.#deps.clock.monoMs())
    look(message.t === 'seal' ? proposal.onSeal(message.m) : undefined)
  }

  /** Without a configuration of its own it completes what others began. Ends when decided or when `signal` aborts. */
  async run(voters: VoterSet, own: Packed | undefined, signal: AbortSignal): Promise<ProposalOutcome> {
    const mine = this.#turn.then(() => this.#run(voters, own, signal))
    // The caller gets the failure; whoever is next only waits for the end.
    this.#turn = mine.catch(() => undefined)
    return await mine
  }

  #run(voters: VoterSet, own: Packed | undefined, signal: AbortSignal): Promise<ProposalOutcome> {
    const { signatures, outbox, clock, random, timings } = this.#deps
    let outbids = 0
    const proposal = new Proposal(
      {
        signatures,
        voters,
        nonce: () => toHex(random.bytes(16)),
        retransmitMs: timings.retransmitMs,
        backoffMs: () => backoffMs(timings, outbids++, randomFraction(random)),
      },
      own,
    )
    return new Promise((resolve) => {
      let cancel = (): void => undefined
      const conclude = (outcome: ProposalOutcome): void => {
        cancel()
        signal.removeEventListener('abort', giveUp)
        this.#running = undefined
        resolve(outcome)
      }
      const giveUp = (): void => conclude({ is: 'unanswered', silent: proposal.silent() })
      const look = (decided?: Decided): void => {
        if (decided) return conclude({ is: 'decided', decided })
        const nowMs = clock.monoMs()
        const send = proposal.poll(nowMs)
        if (proposal.isIdle) return conclude({ is: 'idle' })
        if (send) outbox.post(send.to, send.message)
        cancel()
        cancel = clock.after(timerMs(proposal.dueMs() - nowMs), () => look())
      }
      if (signal.aborted) return giveUp()
      signal.addEventListener('abort', giveUp)
      this.#running = { proposal, look }
      look()
    })
  }
}
