import { Socket } from 'node:net'

/**
 * Loaded into a node before anything else (`--import`): its TCP connections go to the proxy of the test, which learns
 * from the first line who wants to reach whom. So every link between two nodes can be cut or slowed down by itself,
 * without rights over the network. What a node connects to by TCP is other nodes, and nothing else.
 */
const from = process.env.ROOKERY_CHAOS_NODE ?? ''
const proxyPort = Number(process.env.ROOKERY_CHAOS_PROXY_PORT)

type ConnectArguments = readonly [unknown, ...unknown[]]
type Target = { readonly port: number; readonly host?: string }

const isTarget = (value: unknown): value is Target =>
  typeof value === 'object' && value !== null && 'port' in value && Number(value.port) > 0

/** `net.connect` hands on its arguments as an array of options and listener. */
const targetOf = ([first]: ConnectArguments): Target | undefined =>
  [Array.isArray(first) ? first[0] : first].find(isTarget)

if (proxyPort > 0) {
  // oxlint-disable-next-line typescript/unbound-method -- the proxy passes `this` on
  Socket.prototype.connect = new Proxy(Socket.prototype.connect, {
    apply(connect, socket: Socket, args: [unknown, ...unknown[]]) {
      const target = targetOf(args)
      if (!target) return Reflect.apply(connect, socket, args)
      // Before whoever dials hears of the connection and sends something.
      socket.once('connect', () => socket.write(`${from} ${target.port}\n`))
      const detour = { ...target, host: '127.0.0.1', port: proxyPort }
      const [first, ...rest] = args
      if (!Array.isArray(first)) return Reflect.apply(connect, socket, [detour, ...rest])
      // The array carries a mark of Node's own by which it is known as already sorted out.
      first[0] = detour
      return Reflect.apply(connect, socket, args)
    },
  })
}
