import { leavesOf, type Mask } from '../universe.ts'
import type { Violations } from '../../violations.ts'
import { lineOf } from './lines.ts'

/** One acquisition as an agent saw it, in true time. */
export type Operation = {
  readonly owner: string
  readonly mask: Mask
  readonly invokedMs: number
  readonly answeredMs: number
  readonly token: number
  /** The last moment at which the agent knew that it held the lease. */
  knownUntilMs: number
}

/**
 * Checks that acquisitions and releases look as if they had happened one after the other (linearizability), for each
 * thing by itself: locks over different things are independent. The tokens are the order, so nothing has to be
 * searched: O(n log n).
 */
export class History {
  readonly #operations: Operation[] = []

  add(operation: Operation): Operation {
    this.#operations.push(operation)
    return operation
  }

  check(violations: Violations): void {
    const byThing = new Map<string, Operation[]>()
    for (const operation of this.#operations) {
      for (const leaf of leavesOf(operation.mask)) {
        const thing = `${leaf} ${lineOf(operation.token)}`
        const known = byThing.get(thing)
        if (known) known.push(operation)
        else byThing.set(thing, [operation])
      }
    }
    for (const operations of byThing.values()) {
      checkOrder(operations, violations)
      checkDisjoint(operations, violations)
    }
  }
}

/** A larger token must not belong to an acquisition that was over before one with a smaller token began. */
function checkOrder(operations: readonly Operation[], violations: Violations): void {
  let latest: Operation | undefined
  for (const operation of operations.toSorted((a, b) => a.token - b.token)) {
    if (latest && operation.answeredMs < latest.invokedMs) {
      violations.add('linearizability', `token ${operation.token} was acquired before ${latest.token} was asked for`)
    }
    if (!latest || operation.invokedMs > latest.invokedMs) latest = operation
  }
}

/** Times between which agents know that they hold a thing do not overlap, unless they are one owner's. */
function checkDisjoint(operations: readonly Operation[], violations: Violations): void {
  let longest: Operation | undefined
  for (const operation of operations.toSorted((a, b) => a.answeredMs - b.answeredMs)) {
    if (longest && longest.owner !== operation.owner && operation.answeredMs < longest.knownUntilMs) {
      violations.add('linearizability', `tokens ${longest.token} and ${operation.token} were held at once`)
    }
    if (!longest || operation.knownUntilMs > longest.knownUntilMs) longest = operation
  }
}
