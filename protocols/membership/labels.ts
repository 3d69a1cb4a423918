import { isAuthorised } from './attacks.ts'
import { addBit, type Bits, countBits, createBits, flood, forEachBit, hasBit, removeBit } from './bits.ts'
import { bySeniority, type GraphNode, isAncestor } from './graph.ts'
import { type Grounds, groundsOf, turned } from './grounds.ts'
import { type LogIndex, standingOf } from './log-index.ts'

/**
 * Decides which records have effect: those whose author was entitled to them by the effective records it knew, and
 * which no effective concurrent record attacks. Where that leaves a circle (two members remove each other), the record
 * of the most senior author in the circle stands, and what attacks it there is void. A recovery stands last of all: who
 * was removed does not come back by words it may have found, however senior it was.
 */
export function effectiveRecords(index: LogIndex): ReadonlySet<GraphNode> {
  const labelling = new Labelling(index)
  labelling.start()
  for (const { index: place } of index.nodes) while (labelling.isOpen(place)) labelling.breakCircle(place)
  return labelling.effective
}

/** Records are named by their place in the order of arrival. */
class Labelling {
  readonly effective = new Set<GraphNode>()
  readonly #index: LogIndex
  readonly #nodes: readonly GraphNode[]
  readonly #grounds: Grounds
  readonly #clients: readonly Bits[]
  readonly #victims: readonly Bits[]
  readonly #open: Bits
  /** How many of its `authority` and `attackers` are undecided. */
  readonly #openAuthority: number[]
  readonly #openAttackers: number[]
  /** What follows from `authority`, once all of it is decided: asked for once, however many attackers there are. */
  readonly #authorised = new Map<number, boolean>()
  readonly #admissions = new Map<number, GraphNode>()
  readonly #decided: { readonly place: number; readonly isEffective: boolean }[] = []

  constructor(index: LogIndex) {
    this.#index = index
    this.#nodes = index.nodes.toSorted((a, b) => a.index - b.index)
    this.#grounds = groundsOf(index)
    this.#clients = turned(this.#grounds.authority)
    this.#victims = turned(this.#grounds.attackers)
    this.#openAuthority = this.#grounds.authority.map(countBits)
    this.#openAttackers = this.#grounds.attackers.map(countBits)
    this.#open = createBits(this.#nodes.length)
    for (const { index: place } of index.nodes) addBit(this.#open, place)
  }

  isOpen(place: number): boolean {
    return hasBit(this.#open, place)
  }

  start(): void {
    for (const { index: place } of this.#index.nodes) this.#consider(place)
    this.#spread()
  }

  /** Decides one of the circles that an undecided record depends on. */
  breakCircle(place: number): void {
    const rest = createBits(this.#nodes.length)
    flood(place, (at) => this.#dependencies(at), this.#open, rest)
    const winner = this.#winnerOf(this.#independentCircle(rest))
    this.#decide(winner, true)
    forEachBit(this.#attackersOf(winner), (attacker) => this.#decide(attacker, false))
    this.#spread()
  }

  /**
   * Records whose fates depend on each other and on nothing else that is undecided, among `rest`, which has everything
   * undecided that its records depend on. Of a search along the reversed dependencies from every record, the last
   * starting point cannot be reached from any other circle; what it depends on is therefore its whole circle. Such
   * circles do not influence each other, so any of them may go first.
   */
  #independentCircle(rest: Bits): Bits {
    const seen = createBits(this.#nodes.length)
    const circle = createBits(this.#nodes.length)
    let root: number | undefined
    forEachBit(rest, (place) => {
      if (hasBit(seen, place)) return
      root = place
      flood(place, (at) => this.#dependants(at), rest, seen)
    })
    if (root !== undefined) flood(root, (at) => this.#dependencies(at), rest, circle)
    return circle
  }

  #winnerOf(circle: Bits): number {
    let winner: number | undefined
    forEachBit(circle, (place) => {
      if (this.#openAuthority[place] !== 0) return
      if (winner === undefined || this.#compare(place, winner) < 0) winner = place
    })
    if (winner === undefined) throw new Error('authority only comes from ancestors, so a circle has a first record')
    return winner
  }

  #compare(a: number, b: number): number {
    const [first, second] = [this.#node(a), this.#node(b)]
    const recoveryLast = Number(isRecovery(first)) - Number(isRecovery(second))
    return recoveryLast || bySeniority(this.#admissionOf(a), this.#admissionOf(b)) || bySeniority(first, second)
  }

  #admissionOf(place: number): GraphNode {
    const known = this.#admissions.get(place)
    if (known) return known
    const node = this.#node(place)
    const counts = (fact: GraphNode): boolean => isAncestor(fact, node) && this.effective.has(fact)
    const admission = standingOf(this.#index, node.record.author, counts)?.admission ?? node
    this.#admissions.set(place, admission)
    return admission
  }

  #consider(place: number): void {
    if (!this.isOpen(place) || this.#openAuthority[place] !== 0) return
    if (!this.#isAuthorised(place)) this.#decide(place, false)
    else if (this.#openAttackers[place] === 0) this.#decide(place, true)
  }

  #isAuthorised(place: number): boolean {
    const known = this.#authorised.get(place)
    if (known !== undefined) return known
    const authorised = isAuthorised(this.#index, this.#node(place), (node) => this.effective.has(node))
    this.#authorised.set(place, authorised)
    return authorised
  }

  #decide(place: number, isEffective: boolean): void {
    if (!this.isOpen(place)) return
    removeBit(this.#open, place)
    if (isEffective) this.effective.add(this.#node(place))
    this.#decided.push({ place, isEffective })
  }

  #spread(): void {
    for (let fate = this.#decided.pop(); fate; fate = this.#decided.pop()) {
      const { place, isEffective } = fate
      forEachBit(setAt(this.#victims, place), (victim) => {
        this.#openAttackers[victim] = (this.#openAttackers[victim] ?? 0) - 1
        if (isEffective) this.#decide(victim, false)
        else this.#consider(victim)
      })
      forEachBit(setAt(this.#clients, place), (client) => {
        this.#openAuthority[client] = (this.#openAuthority[client] ?? 0) - 1
        this.#consider(client)
      })
    }
  }

  #dependants(place: number): readonly Bits[] {
    return [setAt(this.#clients, place), setAt(this.#victims, place)]
  }

  #dependencies(place: number): readonly Bits[] {
    return [setAt(this.#grounds.authority, place), this.#attackersOf(place)]
  }

  #attackersOf(place: number): Bits {
    return setAt(this.#grounds.attackers, place)
  }

  #node(place: number): GraphNode {
    const node = this.#nodes[place]
    if (!node) throw new Error(`nothing at ${place} in this log`)
    return node
  }
}

const isRecovery = ({ record: { act } }: GraphNode): boolean => act.type === 'recover'

function setAt(sets: readonly Bits[], place: number): Bits {
  const set = sets[place]
  if (!set) throw new Error(`nothing at ${place} in this log`)
  return set
}
