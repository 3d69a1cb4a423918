import type { SocketLimits } from '../http/config.ts'

export type Visit = {
  /** Counts the socket as authenticated from now on; false when there are too many of those. */
  prove(): boolean
  leave(): void
}

/** Counts sockets, so that those which prove nothing can never crowd out those that did. */
export function createDoorkeeper(limits: SocketLimits): { enter(address: string): Visit | undefined } {
  const perAddress = new Map<string, number>()
  let unproved = 0
  let proved = 0
  const countUnproved = (address: string, change: 1 | -1): void => {
    const count = (perAddress.get(address) ?? 0) + change
    unproved += change
    if (count === 0) perAddress.delete(address)
    else perAddress.set(address, count)
  }
  return {
    enter(address) {
      const isFull = unproved >= limits.unauthenticatedMax
      if (isFull || (perAddress.get(address) ?? 0) >= limits.unauthenticatedPerAddressMax) return undefined
      countUnproved(address, 1)
      let state: 'unproved' | 'proved' | 'gone' = 'unproved'
      return {
        prove() {
          if (state !== 'unproved' || proved >= limits.authenticatedMax) return false
          state = 'proved'
          countUnproved(address, -1)
          proved++
          return true
        },
        leave() {
          if (state === 'unproved') countUnproved(address, -1)
          if (state === 'proved') proved--
          state = 'gone'
        },
      }
    },
  }
}
