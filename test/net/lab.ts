import { execFile, execFileSync } from 'node:child_process'
import { promisify } from 'node:util'

/** A LAN: a bridge, and the /24 its hosts have addresses in. */
export type Segment = { readonly name: string; address(host: number): string }

/** Private LANs are numbered from here. */
const PRIVATE = '10.77'
/** The internet: addresses that are nobody's, and look public. */
const PUBLIC = '198.51.100'

/** A machine of its own as far as the network goes: a namespace with an interface `eth0`. */
export class Host {
  readonly name: string
  #segment: Segment
  #address: string

  constructor(name: string, segment: Segment, number: number) {
    this.name = name
    this.#segment = segment
    this.#address = segment.address(number)
    run('ip', 'netns', 'add', name)
    run('ip', 'link', 'add', 'name', this.plug, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', name)
    this.#inside('link', 'set', 'lo', 'up')
    this.#plugIn()
  }

  /** The other end of its cable, at the bridge. */
  get plug(): string {
    return `v-${this.name}`
  }

  get address(): string {
    return this.#address
  }

  get mac(): string {
    return this.exec('cat', '/sys/class/net/eth0/address').trim()
  }

  /** What to put before a command line so that it runs on this host. */
  get within(): readonly string[] {
    return ['ip', 'netns', 'exec', this.name]
  }

  exec(...argv: readonly string[]): string {
    return run(...this.within, ...argv)
  }

  async execAsync(...argv: readonly string[]): Promise<string> {
    const [file = '', ...args] = [...this.within, ...argv]
    return (await promisify(execFile)(file, args, { encoding: 'utf8' })).stdout
  }

  /** Another address on the same LAN, as after a new lease from DHCP. */
  renumber(number: number): void {
    this.#inside('address', 'flush', 'dev', 'eth0', 'scope', 'global')
    this.#address = this.#segment.address(number)
    this.#configure()
  }

  /** Carries the host over to another LAN. */
  moveTo(segment: Segment, number: number): void {
    run('ip', 'link', 'set', this.plug, 'down')
    this.#inside('address', 'flush', 'dev', 'eth0', 'scope', 'global')
    this.#segment = segment
    this.#address = segment.address(number)
    this.#plugIn()
  }

  #plugIn(): void {
    run('ip', 'link', 'set', this.plug, 'master', bridgeOf(this.#segment), 'up')
    this.#inside('link', 'set', 'eth0', 'up')
    this.#configure()
  }

  /** Every LAN has its router at .1, whether there is one or not. */
  #configure(): void {
    this.#inside('address', 'add', `${this.#address}/24`, 'broadcast', this.#segment.address(255), 'dev', 'eth0')
    this.#inside('route', 'replace', 'default', 'via', this.#segment.address(1))
  }

  #inside(...argv: readonly string[]): void {
    run('ip', '-n', this.name, ...argv)
  }
}

/** Joins LANs: a namespace with a leg in each. */
export type Router = { readonly name: string; readonly legs: ReadonlyMap<Segment, { readonly plug: string }> }

/** The wiring of one scenario. Everything lies in the namespaces of the enclosure. */
export class Lab {
  readonly segments: Segment[] = []
  readonly #hosts: Host[] = []
  readonly routers: Router[] = []
  readonly #cuts = new Set<string>()

  segment(name: string, prefix = `${PRIVATE}.${this.segments.length + 1}`): Segment {
    const segment = { name, address: (host: number) => `${prefix}.${host}` }
    run('ip', 'link', 'add', 'name', bridgeOf(segment), 'type', 'bridge')
    run('ip', 'link', 'set', bridgeOf(segment), 'up')
    this.segments.push(segment)
    return segment
  }

  /** What lies between the homes. */
  internet(): Segment {
    return this.segment('internet', PUBLIC)
  }

  host(name: string, segment: Segment): Host {
    const host = new Host(name, segment, 10 + this.#hosts.length)
    this.#hosts.push(host)
    return host
  }

  /** A router between LANs. With `hide`, it hides its first LAN behind one address on each of the others, as at home. */
  router(name: string, segments: readonly Segment[], options: { hide?: boolean } = {}): Router {
    // The first router of a LAN is what its hosts take for the way out.
    const number = (segment: Segment): number =>
      1 + this.routers.filter(({ legs: others }) => others.has(segment)).length
    const legs = new Map(segments.map((segment, i) => [segment, { plug: `v-${name}-${i}` }]))
    run('ip', 'netns', 'add', name)
    for (const [i, [segment, { plug }]] of [...legs].entries()) {
      run('ip', 'link', 'add', 'name', plug, 'type', 'veth', 'peer', 'name', `leg${i}`, 'netns', name)
      run('ip', 'link', 'set', plug, 'master', bridgeOf(segment), 'up')
      run('ip', '-n', name, 'address', 'add', `${segment.address(number(segment))}/24`, 'dev', `leg${i}`)
      run('ip', '-n', name, 'link', 'set', `leg${i}`, 'up')
    }
    run('ip', 'netns', 'exec', name, 'sysctl', '-qw', 'net.ipv4.ip_forward=1')
    if (options.hide) nft(NAT, ['ip', 'netns', 'exec', name])
    this.routers.push({ name, legs })
    return { name, legs }
  }

  /** Drops what one host sends to another; the way back stays open. */
  cutOneWay(from: { plug: string }, to: { plug: string }): void {
    this.#cuts.add(`iifname "${from.plug}" oifname "${to.plug}" drop`)
    this.#applyCuts()
  }

  /** Drops everything between the two groups. */
  partition(left: readonly { plug: string }[], right: readonly { plug: string }[]): void {
    for (const a of left)
      for (const b of right) {
        this.cutOneWay(a, b)
        this.cutOneWay(b, a)
      }
  }

  heal(): void {
    this.#cuts.clear()
    this.#applyCuts()
  }

  /** For the next scenario in the same enclosure. Nodes must have been ended before. */
  dispose(): void {
    this.heal()
    // A namespace may linger for a while, and its cables with it: they are pulled first.
    for (const plug of this.#plugs()) run('ip', 'link', 'delete', plug)
    for (const { name } of [...this.#hosts, ...this.routers]) run('ip', 'netns', 'delete', name)
    for (const segment of this.segments) run('ip', 'link', 'delete', bridgeOf(segment))
  }

  #plugs(): string[] {
    const legs = this.routers.flatMap((router) => [...router.legs.values()])
    return [...this.#hosts, ...legs].map(({ plug }) => plug)
  }

  #applyCuts(): void {
    const rules = [...this.#cuts].map((cut) => `add rule bridge lab forward ${cut}`)
    const table = 'add table bridge lab\nadd chain bridge lab forward { type filter hook forward priority 0; }'
    nft([table, 'flush chain bridge lab forward', ...rules].join('\n'))
  }
}

/** Only what was asked for from inside comes in. */
const NAT = `
  add table ip home
  add chain ip home out { type nat hook postrouting priority 100; }
  add rule ip home out oifname != "leg0" masquerade
  add chain ip home in { type filter hook forward priority 0; }
  add rule ip home in iifname != "leg0" ct state new drop`

const bridgeOf = ({ name }: Segment): string => `br-${name}`

function nft(rules: string, within: readonly string[] = []): void {
  const line = [...within, 'nft', '-f', '-']
  execFileSync(line[0]!, line.slice(1), { input: rules, stdio: ['pipe', 'ignore', 'pipe'] })
}

/** @throws with what the command said when it fails */
function run(...argv: readonly string[]): string {
  const [file = '', ...args] = argv
  return execFileSync(file, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] })
}
