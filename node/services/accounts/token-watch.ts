import type { AccountRecord, RecordName } from '../../../crdt/account-records.ts'
import type { TokenId } from '../../../crdt/ids.ts'
import { every } from '../../ports/clock.ts'
import { DAY_MS, isGoodToken, type AccountContext } from './account-context.ts'
import type { TokenUse } from './account-tokens.ts'

/** `authenticate` is exact; this is how late an open socket notices that its token has expired. */
const EXPIRY_CHECK_MS = 5000
/** Records older than this past their end are deleted; long enough for clocks that disagree. */
const STALE_AFTER_MS = DAY_MS
/** When a token was last used is nobody's secret and nobody's hurry: one small write an hour. */
const HOUSEKEEPING_MS = 3_600_000
/** One envelope carries at most 256 kB. */
const RECORDS_PER_WRITE_MAX = 200

export type TokenWatch = {
  onRevoked(listener: (tokenId: string) => void): () => void
  stop(): Promise<void>
}

/** Notices tokens that end, whatever ended them and wherever, and keeps the records of tokens in order. */
export function watchTokens(context: AccountContext, use: TokenUse): TokenWatch {
  const { deps, sealed } = context
  const listeners = new Set<(tokenId: string) => void>()
  const flushedAtMs = new Map<TokenId, number>()
  let good = new Set<TokenId>()

  const check = (): void => {
    const before = good
    good = new Set([...sealed.index.tokens.values()].filter((token) => isGoodToken(context, token)).map(({ id }) => id))
    for (const id of before) if (!good.has(id)) tell(id)
  }
  const tell = (id: TokenId): void => {
    use.usedAtMs.delete(id)
    flushedAtMs.delete(id)
    for (const listener of listeners) {
      try {
        listener(id)
      } catch (error) {
        deps.log.error({ err: error }, 'a listener for revoked tokens failed') // the others must still hear of it
      }
    }
  }
  const write = async (changes: readonly (AccountRecord | RecordName)[]): Promise<void> => {
    for (let at = 0; at < changes.length; at += RECORDS_PER_WRITE_MAX) {
      const batch = changes.slice(at, at + RECORDS_PER_WRITE_MAX)
      const set = batch.filter((change) => typeof change !== 'string')
      const remove = batch.filter((change) => typeof change === 'string')
      const result = await sealed.change(undefined, () => ({ ok: true, value: { set, remove, value: null } }))
      if (!result.ok) return deps.log.warn({ code: result.error.code }, 'token records could not be tidied up')
    }
  }
  const keepHouse = async (): Promise<void> => {
    if (!sealed.isOpen()) return
    const used = [...use.usedAtMs].filter(([id, atMs]) => atMs > (flushedAtMs.get(id) ?? 0))
    for (const [id, atMs] of used) flushedAtMs.set(id, atMs)
    const records = used.map(([id, atMs]): AccountRecord => ({ kind: 'used', id, value: { atMs } }))
    await write([...records, ...sealed.index.stale(deps.clock.wallMs() - STALE_AFTER_MS)])
  }

  check()
  const cancels = [
    sealed.onChange(check),
    every(deps.clock, EXPIRY_CHECK_MS, check),
    every(deps.clock, HOUSEKEEPING_MS, () => void keepHouse()),
  ]
  return {
    onRevoked(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    async stop() {
      for (const cancel of cancels) cancel()
      await keepHouse()
    },
  }
}
