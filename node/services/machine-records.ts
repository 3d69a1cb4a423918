import type * as Y from 'yjs'
import { machineDoc, type MachineId, type PeerId } from '../../crdt/ids.ts'
import { machineIdOf } from '../../crdt/machine-id.ts'
import type { Cancel } from '../ports/clock.ts'
import type { Log } from '../ports/log.ts'
import type { MembershipSource } from './accounts/sealed-accounts.ts'
import type { Documents } from './feeds/documents.ts'

/** What all machines of the mesh say of themselves under ids, as this node knows it, in memory. */
export type MachineRecords<T> = {
  all(): readonly T[]
  find(id: string): T | undefined
  /** Looks again at once, when a machine is known to have written. */
  refresh(peer: PeerId): void
  close(): void
}

export type MachineRecordsDeps<T> = {
  readonly documents: Pick<Documents, 'open' | 'readOpen'>
  readonly membership: MembershipSource
  readonly log: Log
  readonly read: (doc: Y.Doc, owner: { readonly peer: PeerId; readonly machineId: MachineId }) => readonly T[]
  /** Told of each record that is not as it was. What is there at the start is no news. */
  readonly tell: (before: T | undefined, record: T) => void
}

/** Follows the documents of all members, those that come later, too. */
export async function watchMachineRecords<T extends { readonly id: string }>(
  deps: MachineRecordsDeps<T>,
): Promise<MachineRecords<T>> {
  const records = new Records(deps)
  await records.start()
  return records
}

class Records<T extends { readonly id: string }> implements MachineRecords<T> {
  readonly #deps: MachineRecordsDeps<T>
  readonly #ofMachine = new Map<PeerId, ReadonlyMap<string, T>>()
  readonly #opened = new Map<PeerId, Cancel>()
  readonly #ready = new Set<PeerId>()
  #stopFollowing: Cancel = () => undefined
  #isStarted = false
  #isClosed = false

  constructor(deps: MachineRecordsDeps<T>) {
    this.#deps = deps
  }

  async start(): Promise<void> {
    const { membership, log } = this.#deps
    this.#stopFollowing = membership.onChange(() => {
      this.#followMembers().catch((error: unknown) => log.error({ err: error }, 'records of a member cannot be read'))
    })
    await this.#followMembers()
    this.#isStarted = true
  }

  all(): readonly T[] {
    return [...this.#ofMachine.values()].flatMap((records) => [...records.values()])
  }

  find(id: string): T | undefined {
    for (const records of this.#ofMachine.values()) {
      const record = records.get(id)
      if (record) return record
    }
    return undefined
  }

  refresh(peer: PeerId): void {
    if (this.#ready.has(peer)) this.#deps.documents.readOpen(machineDoc(peer), (state) => this.#look(peer, state))
  }

  close(): void {
    this.#isClosed = true
    this.#stopFollowing()
    for (const cancel of this.#opened.values()) cancel()
    this.#opened.clear()
    this.#ready.clear()
  }

  async #followMembers(): Promise<void> {
    const { members } = this.#deps.membership.current()
    for (const [peer, cancel] of this.#opened) {
      if (members.has(peer)) continue
      cancel()
      this.#opened.delete(peer)
      this.#ready.delete(peer)
      this.#ofMachine.delete(peer)
    }
    await Promise.all([...members.keys()].map((peer) => this.#follow(peer)))
  }

  async #follow(peer: PeerId): Promise<void> {
    if (this.#opened.has(peer) || this.#isClosed) return
    let isWanted = true
    this.#opened.set(peer, () => (isWanted = false))
    const { documents } = this.#deps
    const unpin = await documents.open(machineDoc(peer), (_, state) => this.#look(peer, state))
    if (!isWanted || this.#isClosed) return unpin()
    this.#opened.set(peer, unpin)
    this.#ready.add(peer)
    this.refresh(peer)
  }

  #look(peer: PeerId, state: Y.Doc): void {
    const before = this.#ofMachine.get(peer)
    const records = this.#deps.read(state, { peer, machineId: machineIdOf(peer) })
    this.#ofMachine.set(peer, new Map(records.map((record) => [record.id, record])))
    if (!this.#isStarted) return
    for (const record of records) {
      const known = before?.get(record.id)
      if (JSON.stringify(known) !== JSON.stringify(record)) this.#deps.tell(known, record)
    }
  }
}
