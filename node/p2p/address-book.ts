import type { PeerId } from '../../crdt/ids.ts'
import type { Cancel, Clock } from '../ports/clock.ts'
import type { Log } from '../ports/log.ts'
import { ADDRESS_CHARS_MAX, normaliseAddress } from './addresses.ts'

/** More addresses of one peer than this are history; a dial tries them one after the other. */
const ADDRESSES_PER_PEER_MAX = 12
/**
 * So many are kept in mind. Everybody remembers other ones of a member that moves much: what had to go must not be news
 * each time that somebody says it again, or the member would be dialled for it again and again.
 */
const HEARD_PER_PEER_MAX = 4 * ADDRESSES_PER_PEER_MAX
/** A mesh has far fewer members; what is beyond came from somebody who invents peers. */
const PEERS_MAX = 4096
/** Encoded, the largest book takes no more: what was written can always be read again. */
export const ADDRESS_BOOK_BYTES_MAX = PEERS_MAX * (64 + ADDRESSES_PER_PEER_MAX * (ADDRESS_CHARS_MAX + 4))
/** Changes within this time are written together. */
const SAVE_AFTER_MS = 1000

/** Where the node keeps the addresses of its peers between runs. */
export type KnownAddresses = {
  load(): Promise<ReadonlyMap<PeerId, readonly string[]>>
  save(addresses: ReadonlyMap<PeerId, readonly string[]>): Promise<void>
}

export type AddressBook = {
  peers(): PeerId[]
  /** Best first. */
  of(peer: PeerId): readonly string[]
  /** A connection under this address succeeded: it is tried first from now on, loopback or not. */
  confirm(peer: PeerId, address: string): void
  /** Addresses worth trying, already checked by the caller. Tells whether any of them had not been heard before. */
  hint(peer: PeerId, addresses: readonly string[]): boolean
  /** What the peer itself says, over a live connection: tried before what was known. Tells whether any of it is new. */
  told(peer: PeerId, addresses: readonly string[]): boolean
  forget(peer: PeerId): void
  load(): Promise<void>
  /** Writes what is not yet written. */
  flush(): Promise<void>
}

export function createAddressBook(deps: { store: KnownAddresses; clock: Clock; log: Log }): AddressBook {
  const { store, clock, log } = deps
  /** Best first; the first ones are tried, and saved. */
  const book = new Map<PeerId, readonly string[]>()
  let cancelSave: Cancel | undefined
  let saving: Promise<void> = Promise.resolve()

  const heard = (peer: PeerId): readonly string[] => book.get(peer) ?? []
  const best = (peer: PeerId): readonly string[] => heard(peer).slice(0, ADDRESSES_PER_PEER_MAX)
  const write = (): void => {
    cancelSave = undefined
    saving = saving
      .then(() => store.save(new Map([...book.keys()].map((peer) => [peer, best(peer)]))))
      .catch((error: unknown) => log.warn({ error: String(error) }, 'addresses of peers could not be saved'))
  }
  const set = (peer: PeerId, addresses: readonly string[]): void => {
    const before = book.get(peer)
    if (before === undefined && book.size >= PEERS_MAX) return
    const after = [...new Set(addresses)].slice(0, HEARD_PER_PEER_MAX)
    if (before !== undefined && before.join() === after.join()) return
    book.set(peer, after)
    cancelSave ??= clock.after(SAVE_AFTER_MS, write)
  }
  const normalised = (addresses: readonly string[]): string[] =>
    addresses.map(normaliseAddress).filter((address) => address !== undefined)

  return {
    peers: () => [...book.keys()],
    of: best,
    confirm(peer, address) {
      set(peer, [...normalised([address]), ...heard(peer)])
    },
    hint(peer, addresses) {
      const [known, tried] = [heard(peer), best(peer)]
      const fresh = normalised(addresses).filter((address) => !tried.includes(address))
      // The best one stays; the new ones push the oldest out.
      if (fresh.length > 0) set(peer, [...known.slice(0, 1), ...fresh, ...known.slice(1)])
      return fresh.some((address) => !known.includes(address))
    },
    told(peer, addresses) {
      const known = best(peer)
      const theirs = normalised(addresses).slice(0, ADDRESSES_PER_PEER_MAX)
      const first = known.slice(0, 1).filter((address) => theirs.includes(address))
      set(peer, [...first, ...theirs, ...heard(peer)])
      return theirs.some((address) => !known.includes(address))
    },
    forget(peer) {
      if (book.delete(peer)) cancelSave ??= clock.after(SAVE_AFTER_MS, write)
    },
    async load() {
      for (const [peer, addresses] of await store.load()) set(peer, normalised(addresses))
    },
    async flush() {
      if (cancelSave !== undefined) {
        cancelSave()
        write()
      }
      await saving
    },
  }
}
