/** A week of hours that this node was awake to look: longer ago says little about now. */
export const HOURS_KEPT = 168
export const MINUTES_PER_HOUR = 60
const MINUTES_KEPT = HOURS_KEPT * MINUTES_PER_HOUR

/** Up to 60 minutes in which a member was looked at, and in how many of them it could be reached. */
export type ObservedHour = { readonly observed: number; readonly reached: number }

/** How reachable one member was, as seen from one node. */
export type Availability = {
  readonly observedMinutes: number
  /** Between 0 and 1; null while nothing was observed. */
  readonly share: number | null
}

/** Adds minutes that were all alike. The oldest hours make room. */
export function addMinutes(hours: readonly ObservedHour[], minutes: number, isReached: boolean): ObservedHour[] {
  const kept = [...hours]
  for (let left = Math.min(minutes, MINUTES_KEPT); left > 0;) {
    const last = kept.at(-1)
    const isOpen = last !== undefined && last.observed < MINUTES_PER_HOUR
    const { observed, reached } = isOpen ? last : { observed: 0, reached: 0 }
    const fitting = Math.min(left, MINUTES_PER_HOUR - observed)
    if (isOpen) kept.pop()
    kept.push({ observed: observed + fitting, reached: reached + (isReached ? fitting : 0) })
    left -= fitting
  }
  return kept.slice(-HOURS_KEPT)
}

export function availabilityOf(hours: readonly ObservedHour[]): Availability {
  let observedMinutes = 0
  let reachedMinutes = 0
  for (const { observed, reached } of hours) {
    observedMinutes += observed
    reachedMinutes += reached
  }
  return { observedMinutes, share: observedMinutes === 0 ? null : reachedMinutes / observedMinutes }
}
