import { createSocket } from 'node:dgram'

/** Prints, one per line in hex, what comes in at a UDP port of the host it runs on, and what goes to a multicast group. */
const [port, group] = process.argv.slice(2)
const socket = createSocket({ type: 'udp4', reuseAddr: true })
socket.on('message', (packet) => process.stdout.write(`${packet.toString('hex')}\n`))
socket.bind(Number(port), () => {
  if (group !== undefined) socket.addMembership(group)
  process.stdout.write('listening\n')
})
