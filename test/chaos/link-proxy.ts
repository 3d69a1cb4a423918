import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'

/** What happens to the bytes from one node to another. */
export type LinkState =
  /** They pass. */
  | { readonly is: 'open' }
  /** They wait, and arrive late and all at once when the link is opened again. */
  | { readonly is: 'held' }
  | { readonly is: 'slow'; readonly delayMs: number }

export type Link = { readonly from: string; readonly to: string }

export type LinkProxy = {
  readonly port: number
  set(link: Link, state: LinkState): void
  /** Ends the connections between the two at once; what was under way between them is lost. */
  reset(one: string, other: string): void
  close(): Promise<void>
}

/** One direction of one connection; what is on its way keeps its order. */
type Flow = {
  readonly link: Link
  readonly target: Socket
  readonly underWay: { readonly bytes: Buffer; readonly dueMs: number }[]
  timer: NodeJS.Timeout | undefined
}
type Pipe = { readonly between: ReadonlySet<string>; readonly sockets: readonly Socket[] }

const OPEN: LinkState = { is: 'open' }
/** Name of a node and a port. */
const FIRST_LINE_BYTES_MAX = 256

/** Stands between nodes that were started with `dial-through-proxy.ts`; `nameOf` knows who listens on a port. */
export async function startLinkProxy(nameOf: (port: number) => string | undefined): Promise<LinkProxy> {
  const states = new Map<string, LinkState>()
  const flows = new Set<Flow>()
  const pipes = new Set<Pipe>()
  const stateOf = ({ from, to }: Link): LinkState => states.get(`${from} ${to}`) ?? OPEN

  const pump = (flow: Flow): void => {
    clearTimeout(flow.timer)
    for (let next = flow.underWay[0]; next && stateOf(flow.link).is !== 'held'; next = flow.underWay[0]) {
      const restMs = next.dueMs - performance.now()
      if (restMs > 0) {
        flow.timer = setTimeout(() => pump(flow), Math.ceil(restMs))
        return
      }
      flow.underWay.shift()
      flow.target.write(next.bytes)
    }
  }
  const pass = (flow: Flow, bytes: Buffer): void => {
    const state = stateOf(flow.link)
    flow.underWay.push({ bytes, dueMs: performance.now() + (state.is === 'slow' ? state.delayMs : 0) })
    pump(flow)
  }

  const join = (link: Link, source: Socket, rest: Buffer, port: number): void => {
    const target = connect(port, '127.0.0.1')
    target.setNoDelay(true)
    const back = { from: link.to, to: link.from }
    const there: Flow = { link, target, underWay: [], timer: undefined }
    const here: Flow = { link: back, target: source, underWay: [], timer: undefined }
    const pipe: Pipe = { between: new Set([link.from, link.to]), sockets: [source, target] }
    flows.add(there).add(here)
    pipes.add(pipe)
    if (rest.byteLength > 0) pass(there, rest)
    source.on('data', (bytes: Buffer) => pass(there, bytes))
    target.on('data', (bytes: Buffer) => pass(here, bytes))
    for (const socket of pipe.sockets) {
      socket.on('close', () => {
        flows.delete(there)
        flows.delete(here)
        pipes.delete(pipe)
        for (const one of pipe.sockets) one.destroy()
      })
      socket.on('error', () => undefined) // `close` follows
    }
  }

  const server = createServer((source) => {
    source.setNoDelay(true)
    source.on('error', () => undefined)
    let head = Buffer.alloc(0)
    const onHead = (bytes: Buffer): void => {
      head = Buffer.concat([head, bytes])
      const end = head.indexOf('\n')
      if (end < 0 && head.byteLength <= FIRST_LINE_BYTES_MAX) return
      source.off('data', onHead)
      const [from = '', port = ''] = head.subarray(0, end).toString('latin1').split(' ')
      const to = nameOf(Number(port))
      if (end < 0 || to === undefined) source.destroy()
      else join({ from, to }, source, head.subarray(end + 1), Number(port))
    }
    source.on('data', onHead)
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('the proxy has no port')

  return {
    port: address.port,
    set(link, state) {
      states.set(`${link.from} ${link.to}`, state)
      for (const flow of flows) if (flow.link.from === link.from && flow.link.to === link.to) pump(flow)
    },
    reset(one, other) {
      for (const { between, sockets } of pipes)
        if (between.has(one) && between.has(other)) for (const socket of sockets) socket.destroy()
    },
    async close() {
      for (const { sockets } of pipes) for (const socket of sockets) socket.destroy()
      await new Promise((done) => server.close(done))
    },
  }
}
