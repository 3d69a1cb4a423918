/**
 * The voter's append-only journal. Records are opaque here; their order in the journal is their order of effect.
 * A failed sync means that nothing is known about the disk any more: the adapter reports it once and never retries.
 */
export interface LeaseJournal {
  /** Every record that survived, in order. A torn tail is cut off. */
  replay(): Promise<readonly Uint8Array[]>
  /** Queues a record; it takes effect on disk in order of the calls. */
  append(record: Uint8Array): void
  /**
   * Resolves when everything appended before the call is synced (group commit). On a full disk it waits for room: a
   * write that was refused is not a sync that failed.
   */
  sync(): Promise<void>
  /** Atomically replaces the whole journal by these records. */
  compact(records: readonly Uint8Array[]): Promise<void>
  close(): Promise<void>
}
