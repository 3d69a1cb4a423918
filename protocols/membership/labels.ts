import { type Grounds, groundsOf, isAuthorised } from './attacks.ts'
import { bySeniority, type GraphNode, isAncestor } from './graph.ts'
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
  for (let rest = labelling.undecided(); rest.length > 0; rest = labelling.undecided()) labelling.breakCircle(rest)
  return labelling.effective
}

type Fate = Grounds & {
  readonly node: GraphNode
  isEffective: boolean | undefined
  /** Undecided among `authority` and `attackers`. */
  openAuthority: number
  openAttackers: number
}

class Labelling {
  readonly effective = new Set<GraphNode>()
  readonly #index: LogIndex
  readonly #fates = new Map<GraphNode, Fate>()
  readonly #clients = new Map<GraphNode, Fate[]>()
  readonly #victims = new Map<GraphNode, Fate[]>()
  readonly #decided: Fate[] = []

  constructor(index: LogIndex) {
    this.#index = index
    for (const node of index.nodes) {
      const grounds = groundsOf(index, node)
      const { length: openAuthority } = grounds.authority
      const { length: openAttackers } = grounds.attackers
      const fate: Fate = { ...grounds, node, isEffective: undefined, openAuthority, openAttackers }
      this.#fates.set(node, fate)
      for (const fact of grounds.authority) push(this.#clients, fact, fate)
      for (const attacker of grounds.attackers) push(this.#victims, attacker, fate)
    }
  }

  start(): void {
    for (const fate of this.#fates.values()) this.#consider(fate)
    this.#spread()
  }

  undecided(): readonly Fate[] {
    return [...this.#fates.values()].filter((fate) => fate.isEffective === undefined)
  }

  breakCircle(rest: readonly Fate[]): void {
    const circle = this.#independentCircle(rest)
    const candidates = circle.filter((fate) => fate.openAuthority === 0)
    const winner = candidates.toSorted((a, b) => this.#compare(a, b))[0]
    if (!winner) throw new Error('authority only comes from ancestors, so a circle has a first record')
    this.#decide(winner, true)
    for (const attacker of winner.attackers) this.#decide(this.#fate(attacker), false)
    this.#spread()
  }

  /**
   * Undecided records whose fates depend on each other and on nothing else that is undecided. Of a search along the
   * reversed dependencies from every record, the last starting point cannot be reached from any other circle; what it
   * depends on is therefore its whole circle. Such circles do not influence each other, so any of them may go first.
   */
  #independentCircle(rest: readonly Fate[]): Fate[] {
    const seen = new Set<Fate>()
    let root: Fate | undefined
    for (const fate of rest) {
      if (seen.has(fate)) continue
      root = fate
      flood(fate, (next) => this.#dependants(next), seen)
    }
    const circle = new Set<Fate>()
    if (root) flood(root, (next) => this.#dependencies(next), circle)
    return [...circle]
  }

  #dependants({ node }: Fate): Fate[] {
    const all = [...(this.#clients.get(node) ?? []), ...(this.#victims.get(node) ?? [])]
    return all.filter((fate) => fate.isEffective === undefined)
  }

  #dependencies({ authority, attackers }: Fate): Fate[] {
    return [...authority, ...attackers].map((node) => this.#fate(node)).filter((fate) => fate.isEffective === undefined)
  }

  #compare(a: Fate, b: Fate): number {
    const recoveryLast = Number(isRecovery(a)) - Number(isRecovery(b))
    return recoveryLast || bySeniority(this.#admissionOf(a), this.#admissionOf(b)) || bySeniority(a.node, b.node)
  }

  #admissionOf({ node }: Fate): GraphNode {
    const counts = (fact: GraphNode): boolean => isAncestor(fact, node) && this.effective.has(fact)
    return standingOf(this.#index, node.record.author, counts)?.admission ?? node
  }

  #consider(fate: Fate): void {
    if (fate.isEffective !== undefined || fate.openAuthority > 0) return
    if (!isAuthorised(this.#index, fate.node, (node) => this.effective.has(node))) this.#decide(fate, false)
    else if (fate.openAttackers === 0) this.#decide(fate, true)
  }

  #decide(fate: Fate, isEffective: boolean): void {
    if (fate.isEffective !== undefined) return
    fate.isEffective = isEffective
    if (isEffective) this.effective.add(fate.node)
    this.#decided.push(fate)
  }

  #spread(): void {
    for (let fate = this.#decided.pop(); fate; fate = this.#decided.pop()) {
      for (const victim of this.#victims.get(fate.node) ?? []) {
        victim.openAttackers--
        if (fate.isEffective) this.#decide(victim, false)
        else this.#consider(victim)
      }
      for (const client of this.#clients.get(fate.node) ?? []) {
        client.openAuthority--
        this.#consider(client)
      }
    }
  }

  #fate(node: GraphNode): Fate {
    const fate = this.#fates.get(node)
    if (!fate) throw new Error(`${node.record.key} is not in this log`)
    return fate
  }
}

const isRecovery = ({ node }: Fate): boolean => node.record.act.type === 'recover'

function flood(from: Fate, next: (fate: Fate) => readonly Fate[], seen: Set<Fate>): void {
  const open = [from]
  seen.add(from)
  for (let fate = open.pop(); fate; fate = open.pop()) {
    for (const other of next(fate)) {
      if (seen.has(other)) continue
      seen.add(other)
      open.push(other)
    }
  }
}

function push(lists: Map<GraphNode, Fate[]>, key: GraphNode, fate: Fate): void {
  const list = lists.get(key)
  if (list) list.push(fate)
  else lists.set(key, [fate])
}
