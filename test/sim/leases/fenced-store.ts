import { leavesOf, type Mask } from './universe.ts'
import { areComparable } from './checkers/lines.ts'
import type { Violations } from '../violations.ts'

type Write = { readonly token: number; readonly leaseId: string; readonly owner: string }

/** What agents write to: it knows nothing but the highest token that has written to each thing. */
export class FencedStore {
  readonly #violations: Violations
  readonly #highest = new Map<number, Write>()
  writes = 0
  rejected = 0

  constructor(violations: Violations) {
    this.#violations = violations
  }

  /**
   * I3: whoever validly believes in its lease now is not rejected because of another owner, and no two leases write with
   * one token.
   */
  write(mask: Mask, by: Write & { readonly isValid: boolean }): void {
    this.writes += 1
    const { token, leaseId, owner, isValid } = by
    const before = [...leavesOf(mask)].flatMap((leaf) => this.#highest.get(leaf) ?? [])
    const newer = before.find((last) => last.token > token)
    if (newer) {
      this.rejected += 1
      // An owner's own newer token, or that of voters who were installed by force, may have been quicker.
      const isFair = newer.owner === owner || !areComparable(newer.token, token)
      if (isValid && !isFair)
        this.#violations.add('I3', `a valid holder's write with ${token} came after ${newer.token}`)
      return
    }
    if (before.some((last) => last.token === token && last.leaseId !== leaseId)) {
      this.#violations.add('I3', `two leases wrote with token ${token}`)
    }
    for (const leaf of leavesOf(mask)) this.#highest.set(leaf, { token, leaseId, owner })
  }
}
