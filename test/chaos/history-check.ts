import type { HistoryEntry } from './history.ts'

/** A certified lease as its agent knew it. */
type Hold = {
  readonly agent: string
  readonly leaf: string
  readonly token: number
  readonly invokedMs: number
  /** From here on the agent knew that the lease was its own, … */
  readonly answeredMs: number
  /** … up to here at least. */
  knownUntilMs: number
}

export type HistoryRules = {
  /** Nobody else is granted anything for so long after a request that was certified, whatever becomes of its holder. */
  readonly promisedMs: number
}

/** By then a request whose answer was not waited for is over: a lease that shows up later is not what it asked for. */
const STRAY_MS = 90_000

/**
 * What in a history cannot have happened one after the other. Things are independent of each other, so each is looked
 * at by itself, and tokens give the order, so nothing has to be searched: O(n log n). An operation without a clear
 * outcome may have happened or not, which forbids nothing.
 */
export function checkHistory(entries: readonly HistoryEntry[], rules: HistoryRules): string[] {
  const byLeaf = Map.groupBy(holdsOf(entries, rules), ({ leaf }) => leaf)
  return [
    ...[...byLeaf.values()].flatMap((holds) => [...tokenRegressions(holds), ...doubleHolders(holds)]),
    ...closedTwice(entries),
  ]
}

/**
 * An answer that shows a lease for the first time is its acquisition; later ones show that it has been held up to the
 * moment in which they were asked for: nobody was certified in between.
 */
function holdsOf(entries: readonly HistoryEntry[], { promisedMs }: HistoryRules): Hold[] {
  const holds = new Map<string, Hold>()
  /** The holds of an agent on a leaf that it has not given up. */
  const open = new Map<string, Set<Hold>>()
  /**
   * When an agent last learned of nothing that came of what it asked for, or could not give back what it had: a lease that
   * it is shown later may be older than it looks.
   */
  const strays = new Map<string, number>()

  const show = (entry: HistoryEntry, leaf: string, token: number): void => {
    const place = `${entry.agent} ${leaf}`
    const { agent, invokedMs, answeredMs } = entry
    const known = holds.get(`${place} ${token}`)
    if (known && open.get(place)?.has(known)) known.knownUntilMs = Math.max(known.knownUntilMs, invokedMs)
    if (known) return
    // What it holds gets other tokens on the way: when the lease is carried over, or shared with a path that is given back.
    const isHeld = (open.get(place)?.size ?? 0) > 0
    const isFresh = !isHeld && invokedMs - (strays.get(place) ?? -Infinity) > STRAY_MS
    const hold: Hold = {
      agent,
      leaf,
      token,
      invokedMs,
      answeredMs,
      knownUntilMs: invokedMs + (isFresh ? promisedMs : 0),
    }
    holds.set(`${place} ${token}`, hold)
    open.set(place, (open.get(place) ?? new Set()).add(hold))
  }
  const giveUp = ({ agent, gaveUp, invokedMs }: HistoryEntry): void => {
    for (const leaf of gaveUp) {
      for (const hold of open.get(`${agent} ${leaf}`) ?? []) hold.knownUntilMs = Math.min(hold.knownUntilMs, invokedMs)
      open.delete(`${agent} ${leaf}`)
    }
  }

  for (const { entry, isAnswer } of moments(entries)) {
    if (!isAnswer) giveUp(entry)
    else if (entry.outcome === 'unknown' || (entry.outcome !== 'done' && entry.gaveUp.length > 0))
      for (const leaf of entry.about) strays.set(`${entry.agent} ${leaf}`, entry.answeredMs)
    else
      for (const { leaves, token, isCertified } of entry.holds)
        for (const leaf of isCertified ? leaves : []) show(entry, leaf, token)
  }
  return [...holds.values()]
}

type Moment = { readonly atMs: number; readonly entry: HistoryEntry; readonly isAnswer: boolean }

const moments = (entries: readonly HistoryEntry[]): Moment[] =>
  entries
    .flatMap((entry): Moment[] => [
      { atMs: entry.invokedMs, entry, isAnswer: false },
      { atMs: entry.answeredMs, entry, isAnswer: true },
    ])
    .toSorted((a, b) => a.atMs - b.atMs)

/**
 * Whoever asks after another was answered gets a larger token, and no two have the same. One agent may hold overlapping
 * leases at once, and be shown the earlier one again: its own tokens are not compared.
 */
function tokenRegressions(holds: readonly Hold[]): string[] {
  const found: string[] = []
  let last: Hold | undefined
  const latest = new Map<string, Hold>()
  for (const hold of holds.toSorted((a, b) => a.token - b.token)) {
    if (last?.token === hold.token && last.agent !== hold.agent) found.push(`one token twice: ${both(last, hold)}`)
    for (const [agent, other] of latest)
      if (agent !== hold.agent && hold.answeredMs < other.invokedMs)
        found.push(`tokens out of order: ${both(hold, other)}`)
    const own = latest.get(hold.agent)
    if (!own || hold.invokedMs > own.invokedMs) latest.set(hold.agent, hold)
    last = hold
  }
  return found
}

/** Times in which agents know that they hold a thing do not overlap. */
function doubleHolders(holds: readonly Hold[]): string[] {
  const found: string[] = []
  let longest: Hold | undefined
  for (const hold of holds.toSorted((a, b) => a.answeredMs - b.answeredMs)) {
    if (hold.answeredMs >= hold.knownUntilMs) continue // the answer came too late to say anything
    if (longest && longest.agent !== hold.agent && hold.answeredMs < longest.knownUntilMs)
      found.push(`two holders at once: ${both(longest, hold)}`)
    if (!longest || hold.knownUntilMs > longest.knownUntilMs) longest = hold
  }
  return found
}

/** A task that somebody was told is completed is over: nobody claims or completes it after that. */
function closedTwice(entries: readonly HistoryEntry[]): string[] {
  const done = entries.filter(({ outcome }) => outcome === 'done')
  const closed = new Map<string, HistoryEntry>()
  const found: string[] = []
  for (const entry of done.filter(({ kind }) => kind === 'task_complete')) {
    const [task = ''] = entry.about
    const before = closed.get(task)
    if (before) found.push(`task ${task} was completed by ${before.agent} and by ${entry.agent}`)
    if (!before || entry.answeredMs < before.answeredMs) closed.set(task, entry)
  }
  for (const { about, agent, invokedMs } of done.filter(({ kind }) => kind === 'task_claim')) {
    const [task = ''] = about
    const before = closed.get(task)
    if (before && before.answeredMs < invokedMs)
      found.push(`task ${task} was claimed by ${agent} after it was completed`)
  }
  return found
}

const both = (one: Hold, other: Hold): string => `${describe(one)}; ${describe(other)}`
const describe = ({ agent, leaf, token, ...times }: Hold): string =>
  `${agent} on ${leaf}, token ${token}, asked ${times.invokedMs.toFixed(1)}, answered ${times.answeredMs.toFixed(1)}, ` +
  `known until ${times.knownUntilMs.toFixed(1)}`
