import { compareHlc } from './hlc.ts'
import type { CertifiedRecord, ProvisionalRecord } from './lock-record.ts'

/** What decides between two overlapping locks; the rest of a record does not matter. */
export type Ranked = Pick<CertifiedRecord, 'lease' | 'token'> | Pick<ProvisionalRecord, 'lease' | 'token' | 'hlc'>

/**
 * Whether `a` is the better of two overlapping locks: certified before provisional, then the higher token, then the
 * earlier claim, then the smaller id. A total order, the same on every node.
 */
export function outranks(a: Ranked, b: Ranked): boolean {
  if (a.token !== null && b.token !== null) return a.token === b.token ? a.lease < b.lease : a.token > b.token
  if (a.token !== null || b.token !== null) return a.token !== null
  const order = compareHlc(a.hlc, b.hlc)
  return order === 0 ? a.lease < b.lease : order < 0
}
