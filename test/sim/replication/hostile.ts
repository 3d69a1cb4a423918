import { decode } from 'cborg'
import type { DocId, PeerId } from '../../../crdt/ids.ts'
import type { Channel } from '../../../node/ports/peer-network.ts'
import { encodeSync, SYNC_PROTOCOL, type SyncMessage } from '../../../protocols/sync.ts'
import { Life } from '../ports/life.ts'
import type { Prng } from '../ports/prng.ts'
import { attacksOf, writesTwoHistories, writesWell, type Attack } from './attacks.ts'
import { Forger } from './forger.ts'
import type { Temper } from './plan.ts'
import { SimNode } from './sim-node.ts'
import type { World } from './world.ts'

/** Envelopes of others that it keeps for its purposes. */
const KEPT_MAX = 400
const GENERALISTS = 0.4
const HISTORIANS = 0.3
const OPEN_MS = 5000
const JOIN_AGAIN_MS = 1500

/** What it has heard of one envelope, decoded without any check. */
export type Heard = {
  readonly bytes: Uint8Array
  readonly doc: DocId
  readonly author: PeerId
  readonly seq: number
  readonly update: Uint8Array
}

/** A member with a modified program: it listens like everybody and says what it likes. */
export class Hostile {
  readonly peer: PeerId
  readonly name: string
  readonly world: World
  readonly prng: Prng
  readonly forger: Forger
  readonly heard: Heard[] = []
  readonly #temper: Temper
  readonly #shell: SimNode
  readonly #life = new Life()
  readonly #channels = new Map<PeerId, Channel>()
  #open: ((peer: PeerId) => Promise<Channel>) | undefined

  constructor(world: World, peer: PeerId, { n, temper }: { n: number; temper: Temper }) {
    this.peer = peer
    this.name = `hostile ${n}`
    this.world = world
    this.prng = world.prng.fork(this.name)
    this.#temper = temper
    // Joins as anybody does; what it does afterwards is its own.
    this.#shell = new SimNode(world, peer, n)
    this.forger = new Forger(world.crypto, peer)
  }

  async run(): Promise<void> {
    const { world } = this
    if (!(await this.#join())) return
    this.#takePart()
    const attacks = this.#repertoire()
    while (this.#life.isAlive && !world.isEnding) {
      await world.time.sleep(this.prng.pause(world.plan.attackPauseMs))
      if (!this.#life.isAlive) return
      const attack = this.prng.pick(attacks)
      world.counts.attacks += 1
      world.trace?.(`${this.name}: ${attack.name}`)
      await attack(this)
    }
  }

  stop(): void {
    this.#life.isAlive = false
    this.world.network.leave(this.peer)
  }

  /** Some of the honest nodes. */
  victims(): PeerId[] {
    const peers = this.world.nodes.map(({ peer }) => peer)
    const some = peers.filter(() => this.prng.chance(0.5))
    return some.length > 0 ? some : [this.prng.pick(peers)]
  }

  someHeard(): Heard | undefined {
    return this.heard.length > 0 ? this.prng.pick(this.heard) : undefined
  }

  async send(to: readonly PeerId[], envelopes: readonly Uint8Array[]): Promise<void> {
    if (envelopes.length > 0)
      await this.say(to, { t: 'envelopes', envelopes: [...envelopes], more: this.prng.chance(0.2) })
  }

  async say(to: readonly PeerId[], message: SyncMessage): Promise<void> {
    await this.sendFrame(to, encodeSync(message))
  }

  async sendFrame(to: readonly PeerId[], frame: Uint8Array): Promise<void> {
    for (const peer of to) {
      try {
        const channel = this.#channels.get(peer) ?? (await this.#open?.(peer))
        if (!channel) return
        this.#channels.set(peer, channel)
        await channel.send(frame)
      } catch {
        this.#channels.delete(peer) // refused, or hung up on: it may work the next time
      }
    }
  }

  async #join(): Promise<boolean> {
    for (const { world } = this; !world.isEnding;) {
      const ticket = await world.invite(this.prng, ['store'])
      const outcome = ticket === undefined ? 'of no use' : await this.#shell.join(ticket)
      if (outcome === 'joined') return true
      if (outcome === 'never') return false
      await world.time.sleep(JOIN_AGAIN_MS)
    }
    return false
  }

  /** Some can do everything, and are soon frozen for it; others know two tricks and write well in between. */
  #repertoire(): readonly Attack[] {
    const { focus } = this.world.plan
    const all = attacksOf(this.#temper)
    if (focus.length > 0)
      return [writesWell, ...[...all, writesTwoHistories].filter(({ name }) => focus.includes(name))]
    // Found out with the first of them: a few that do little else.
    const forks = this.#temper === 'brazen' && this.prng.fork('histories').chance(HISTORIANS)
    if (forks) return [writesWell, writesWell, writesTwoHistories]
    if (this.prng.chance(GENERALISTS)) return all
    return [writesWell, this.prng.pick(all), this.prng.pick(all)]
  }

  #takePart(): void {
    const { world } = this
    const [genesis] = this.#shell.disk.state.records
    if (!genesis) throw new Error('a member without a log')
    this.forger.joined(genesis)
    const port = world.network.join(this.peer, this.#life, () => true)
    this.#open = async (peer) => {
      const stop = new AbortController()
      world.time.after(OPEN_MS, () => stop.abort(new Error('no answer')))
      return await port.open(peer, SYNC_PROTOCOL, stop.signal)
    }
    port.handle(
      SYNC_PROTOCOL,
      { policy: { who: 'anyone' }, frameBytesMax: 2 ** 20, channelsPerPeerMax: 4 },
      (channel) => this.#listen(channel),
    )
  }

  async #listen(channel: Channel): Promise<void> {
    for await (const frame of channel.frames) {
      const message = decode(frame) as { t: string; envelopes?: Uint8Array[] }
      if (message.t === 'heads' && this.prng.chance(0.5))
        await this.say([channel.peer], { t: 'records', records: [], last: true })
      for (const bytes of message.envelopes ?? []) this.#hear(bytes)
    }
  }

  #hear(bytes: Uint8Array): void {
    const { doc, author, seq, update } = decode(bytes) as Omit<Heard, 'bytes'>
    if (author === this.peer) return
    if (this.heard.length >= KEPT_MAX) this.heard.splice(this.prng.int(0, KEPT_MAX - 1), 1)
    this.heard.push({ bytes, doc, author, seq, update })
  }
}
