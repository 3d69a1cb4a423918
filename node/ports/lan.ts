import type { LanLink } from '../../crdt/lan-link.ts'

/** An interface of this host, as it is now. */
export type OwnLink = LanLink & {
  /** This host's address there. */
  readonly address: string
  /** Reaches every host of the subnet. */
  readonly broadcast: string
}

/** The local networks of this host, and the one thing that is sent there to hosts without a connection. */
export interface Lan {
  /** Interfaces on networks that other hosts may share: no loopback, no tunnels, no bridges of containers. */
  links(): readonly OwnLink[]
  /** Sends the packet that wakes the network card with this address. Rejects when it could not be sent. */
  wake(mac: string, link: OwnLink): Promise<void>
}
