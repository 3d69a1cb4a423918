import type { RefreshRecord } from './account-records.ts'
import type { TokenId } from './ids.ts'
import { addTo, hexKey, removeFrom } from './keyed-sets.ts'

export type RefreshEntry = RefreshRecord & { readonly id: string }

/**
 * Refresh tokens in families: each but the first of a family replaced another one. A family is over when somebody said
 * so, or when one of its tokens was replaced twice: one of the two who did that has a stolen copy, and nobody can tell
 * which. Two gateways that know nothing of each other come to the same answer once their records meet.
 */
export class RefreshFamilies {
  readonly #entries = new Map<string, RefreshEntry>()
  readonly #byHash = new Map<string, string>()
  readonly #byAccess = new Map<TokenId, string>()
  readonly #byFamily = new Map<string, Set<string>>()
  readonly #ended = new Map<string, { readonly untilMs: number }>()

  set(entry: RefreshEntry): void {
    this.#entries.set(entry.id, entry)
    this.#byHash.set(hexKey(entry.hash), entry.id)
    this.#byAccess.set(entry.access, entry.id)
    addTo(this.#byFamily, entry.family, entry.id)
  }

  delete(id: string): void {
    const entry = this.#entries.get(id)
    if (!entry) return
    this.#entries.delete(id)
    this.#byHash.delete(hexKey(entry.hash))
    this.#byAccess.delete(entry.access)
    removeFrom(this.#byFamily, entry.family, id)
  }

  setEnded(family: string, untilMs: number): void {
    this.#ended.set(family, { untilMs })
  }

  deleteEnded(family: string): void {
    this.#ended.delete(family)
  }

  find(hash: Uint8Array): RefreshEntry | undefined {
    return this.#entries.get(this.#byHash.get(hexKey(hash)) ?? '')
  }

  /** The one that an access token was issued with. */
  ofAccess(token: TokenId): RefreshEntry | undefined {
    return this.#entries.get(this.#byAccess.get(token) ?? '')
  }

  /** Oldest first. */
  members(family: string): readonly RefreshEntry[] {
    return [...(this.#byFamily.get(family) ?? [])]
      .flatMap((id) => this.#entries.get(id) ?? [])
      .sort((a, b) => a.createdAtMs - b.createdAtMs || (a.id < b.id ? -1 : 1))
  }

  isReplaced({ id, family }: RefreshEntry): boolean {
    return this.members(family).some(({ parent }) => parent === id)
  }

  isOver(family: string): boolean {
    if (this.#ended.has(family)) return true
    const parents = this.members(family).flatMap(({ parent }) => parent ?? [])
    return new Set(parents).size < parents.length
  }

  /** Ids of tokens, and of families that were ended, which have not mattered since before `beforeMs`. */
  stale(beforeMs: number): { readonly refresh: readonly string[]; readonly ended: readonly string[] } {
    const entries = [...this.#entries.values()].filter(({ expiresAtMs }) => expiresAtMs < beforeMs)
    const ended = [...this.#ended].filter(([, { untilMs }]) => untilMs < beforeMs)
    return { refresh: entries.map(({ id }) => id), ended: ended.map(([family]) => family) }
  }
}
