import { createSocket } from 'node:dgram'
import { networkInterfaces, type NetworkInterfaceInfo } from 'node:os'
import { LanLink, LINKS_MAX } from '../../crdt/lan-link.ts'
import type { Lan, OwnLink } from '../ports/lan.ts'

/** Discard: what comes in here on a host that is awake is thrown away. */
const WAKE_PORT = 9
/** Nobody confirms a magic packet, and a lost one is not missed. */
const WAKE_REPEATS = 3

/**
 * Networks inside the host, or tunnels: no sleeping machine hears a broadcast there. Every host of containers has the
 * same subnets on them, and would be taken for a neighbour of every other.
 */
const INNER =
  /^(docker|br-|veth|virbr|vmnet|vboxnet|cni|flannel|cali|podman|lxc|lxd|tun|tap|wg|tailscale|zt|utun|awdl|llw)/

/** This host's real network interfaces; magic packets go to another port in tests only. */
export function createLan({ interfaces = networkInterfaces, port = WAKE_PORT } = {}): Lan {
  return {
    links: () =>
      Object.entries(interfaces())
        .filter(([name]) => !INNER.test(name))
        .flatMap(([, addresses]) => (addresses ?? []).flatMap(linkOf))
        .slice(0, LINKS_MAX),
    wake: (mac, link) => broadcast(magicPacket(mac), link, port),
  }
}

function linkOf({ family, internal, cidr, mac, address }: NetworkInterfaceInfo): OwnLink[] {
  if (family !== 'IPv4' || internal || cidr === null) return []
  const bits = Number(cidr.split('/')[1])
  // A network of one or two hosts is a line between routers.
  if (bits > 30) return []
  const [first, last] = [toNumber(address) & mask(bits), toNumber(address) | ~mask(bits)]
  const stated = LanLink.safeParse({ mac, subnet: `${toText(first)}/${bits}` })
  if (!stated.success || stated.data.mac === '00:00:00:00:00:00') return []
  return [{ ...stated.data, address, broadcast: toText(last) }]
}

const mask = (bits: number): number => (bits === 0 ? 0 : -1 << (32 - bits))
const toNumber = (address: string): number => address.split('.').reduce((sum, part) => (sum << 8) | Number(part), 0)
const toText = (address: number): string => [24, 16, 8, 0].map((shift) => (address >>> shift) & 255).join('.')

/** Six bytes of ones, then the address of the card sixteen times. */
function magicPacket(mac: string): Uint8Array {
  const address = mac.split(':').map((byte) => Number.parseInt(byte, 16))
  return Uint8Array.from([...Array<number>(6).fill(0xff), ...Array.from({ length: 16 }, () => address).flat()])
}

/** Bound to the link's own address, so that it leaves there whatever the default route is. */
async function broadcast(packet: Uint8Array, { address, broadcast: to }: OwnLink, port: number): Promise<void> {
  const socket = createSocket('udp4')
  try {
    await new Promise<void>((resolve, reject) => {
      socket.once('error', reject)
      socket.bind({ address, port: 0 }, resolve)
    })
    socket.setBroadcast(true)
    for (let i = 0; i < WAKE_REPEATS; i++)
      await new Promise<void>((resolve, reject) => {
        socket.send(packet, port, to, (error) => (error ? reject(error) : resolve()))
      })
  } finally {
    socket.close()
  }
}
