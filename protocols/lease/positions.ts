import type { Position, Resource } from './messages.ts'
import type { ScopedPosition } from './estate.ts'

/** As many as a grant may carry. */
export const AFTER_MAX = 64
/** Of forgotten leases; when full the one refreshed least recently goes, whose writes have had the longest to arrive. */
export const AFTER_FLOOR_MAX = 256

const feedOf = ({ doc, author }: Position): string => `${doc} ${author}`

/** Per document and author the furthest position; the first `AFTER_MAX` feeds win. */
export function mergePositions(positions: Iterable<Position>): Position[] {
  const furthest = new Map<string, Position>()
  for (const position of positions) {
    const feed = feedOf(position)
    const known = furthest.get(feed)
    if (known === undefined ? furthest.size < AFTER_MAX : known.seq < position.seq) furthest.set(feed, position)
  }
  return [...furthest.values()]
}

/**
 * Last writes under leases that the token log has forgotten. What exactly they covered is gone; only the first segment
 * of their keys is kept (the project), so a later holder may wait for a little more than it needs, not for the mesh.
 */
export class AfterFloor {
  readonly #positions = new Map<string, ScopedPosition>()

  merge({ scope, at }: ScopedPosition): void {
    const key = `${scope} ${feedOf(at)}`
    const known = this.#positions.get(key)
    this.#positions.delete(key)
    this.#positions.set(key, known && known.at.seq > at.seq ? known : { scope, at })
    const oldest = this.#positions.keys().next()
    if (this.#positions.size > AFTER_FLOOR_MAX && !oldest.done) this.#positions.delete(oldest.value)
  }

  mergeAll(res: readonly Resource[], at: Position): void {
    for (const scope of new Set(res.map(scopeOf))) this.merge({ scope, at })
  }

  for(res: readonly Resource[]): Position[] {
    if (this.#positions.size === 0) return []
    const scopes = new Set(res.map(scopeOf))
    return this.all()
      .filter(({ scope }) => scopes.has(scope) || scopes.has(EVERYTHING) || scope === EVERYTHING)
      .map(({ at }) => at)
  }

  /** Least recently refreshed first. */
  all(): ScopedPosition[] {
    return [...this.#positions.values()]
  }
}

const EVERYTHING = 'path:'

const scopeOf = ({ kind, key }: Resource): string => `${kind}:${key.split('/', 1)[0]}`
