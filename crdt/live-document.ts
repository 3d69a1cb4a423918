import { isProvisional, LOCK_CERTIFICATE_BYTES_MAX, LockRecord } from './lock-record.ts'
import type * as Y from 'yjs'

const records = (doc: Y.Doc): Y.Map<unknown> => doc.getMap('locks')
const certificates = (doc: Y.Doc): Y.Map<unknown> => doc.getMap('certificates')
const about = (doc: Y.Doc): Y.Map<unknown> => doc.getMap('about')

/** A fresh generation counts only from then on, so that readers never see it half filled. */
export const markReady = (doc: Y.Doc): void => void about(doc).set('ready', true)
export const isReady = (doc: Y.Doc): boolean => about(doc).get('ready') === true

/** A provisional lock has no certificate. */
export function putLock(doc: Y.Doc, key: string, record: LockRecord, certificate: Uint8Array | undefined): void {
  records(doc).set(key, record)
  if (certificate && !certificates(doc).has(record.lease)) certificates(doc).set(record.lease, certificate)
}

export function dropLock(doc: Y.Doc, key: string): void {
  const dropped = LockRecord.safeParse(records(doc).get(key)).data
  records(doc).delete(key)
  if (dropped === undefined || !certificates(doc).has(dropped.lease)) return
  for (const other of records(doc).keys()) if (other.startsWith(`${dropped.lease}/`)) return
  certificates(doc).delete(dropped.lease)
}

/** A certificate where the record needs one; whether it proves anything is another question. */
export type ReadLock = { readonly record: LockRecord; readonly certificate: Uint8Array | undefined }

/** Parses each stored record once, however often the map around it changes. */
export class LockReader {
  readonly #parsed = new WeakMap<object, LockRecord | 'invalid'>()

  /** Every record that makes sense. */
  read(doc: Y.Doc): Map<string, ReadLock> {
    const locks = new Map<string, ReadLock>()
    for (const [key, value] of records(doc)) {
      const record = this.#parse(value)
      if (!record) continue
      if (isProvisional(record)) {
        locks.set(key, { record, certificate: undefined })
        continue
      }
      const certificate = certificates(doc).get(record.lease)
      if (!(certificate instanceof Uint8Array) || certificate.byteLength > LOCK_CERTIFICATE_BYTES_MAX) continue
      locks.set(key, { record, certificate })
    }
    return locks
  }

  #parse(value: unknown): LockRecord | undefined {
    if (typeof value !== 'object' || value === null) return undefined
    const known = this.#parsed.get(value) ?? LockRecord.safeParse(value).data ?? 'invalid'
    this.#parsed.set(value, known)
    return known === 'invalid' ? undefined : known
  }
}
