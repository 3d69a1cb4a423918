import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import type { NetworkInterfaceInfo } from 'node:os'
import { expect, it } from 'vitest'
import { createLan } from '../../../node/adapters/lan.ts'

const card = (more: Partial<NetworkInterfaceInfo>): NetworkInterfaceInfo =>
  ({
    family: 'IPv4',
    internal: false,
    address: '192.168.1.7',
    netmask: '255.255.255.0',
    cidr: '192.168.1.7/24',
    mac: 'A8:a1:59:00:00:01'.toLowerCase(),
    ...more,
  }) as NetworkInterfaceInfo

const linksOf = (interfaces: Record<string, NetworkInterfaceInfo[]>) =>
  createLan({ interfaces: () => interfaces }).links()

it('knows the subnet and broadcast address of each network card', () => {
  const mac = 'a8:a1:59:00:00:01'
  expect(linksOf({ eth0: [card({})], wlan0: [card({ address: '10.200.3.4', cidr: '10.200.3.4/9' })] })).toEqual([
    { mac, subnet: '192.168.1.0/24', address: '192.168.1.7', broadcast: '192.168.1.255' },
    { mac, subnet: '10.128.0.0/9', address: '10.200.3.4', broadcast: '10.255.255.255' },
  ])
})

it.each([
  ['loopback', 'lo', { internal: true, mac: '00:00:00:00:00:00' }],
  ['a bridge of containers, which every host has', 'docker0', {}],
  ['a tunnel', 'wg0', {}],
  ['an interface without a card', 'eth0', { mac: '00:00:00:00:00:00' }],
  ['a line between two routers', 'eth0', { cidr: '192.168.1.7/31' }],
  ['version 6, which has no broadcasts', 'eth0', { family: 'IPv6', cidr: 'fd00::7/64' }],
] as const)('does not take %s for a network that others share', (_, name, more) => {
  expect(linksOf({ [name]: [card(more as Partial<NetworkInterfaceInfo>)] })).toEqual([])
})

it('names at most as many networks as a machine may state', () => {
  const many = Array.from({ length: 40 }, (_, i) => card({ address: `10.0.${i}.1`, cidr: `10.0.${i}.1/24` }))
  expect(linksOf({ eth0: many }).length).toBe(16)
})

it('sends six bytes of ones and the address sixteen times, from the address of the link', async () => {
  // The one place to which anything can be sent on every machine; which host it is decides the link.
  const link = { mac: '02:0a:ff:00:00:10', subnet: '127.0.0.0/8', address: '127.0.0.1', broadcast: '127.0.0.1' }
  const listener = createSocket('udp4')
  try {
    listener.bind({ address: '127.0.0.1', port: 0 })
    await once(listener, 'listening')
    const heard = once(listener, 'message')
    await createLan({ port: listener.address().port }).wake(link.mac, link)
    const [packet, from] = await heard
    expect(packet.toString('hex')).toBe('ff'.repeat(6) + '020aff000010'.repeat(16))
    expect(from.address).toBe('127.0.0.1')
  } finally {
    listener.close()
  }
})

it('rejects when the packet cannot be sent', async () => {
  const link = { mac: '02:0a:ff:00:00:10', subnet: '192.0.2.0/24', address: '192.0.2.1', broadcast: '192.0.2.255' }
  await expect(createLan().wake(link.mac, link)).rejects.toThrow(/EADDRNOTAVAIL/)
})
