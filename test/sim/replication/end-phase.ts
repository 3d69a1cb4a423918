import type { DocId, PeerId } from '../../../crdt/ids.ts'
import { isVolatile } from '../../../crdt/ids.ts'
import { toHex } from '../../../protocols/codec.ts'
import type { Membership } from '../../../protocols/membership/membership.ts'
import { resolve } from '../../../protocols/membership/resolver.ts'
import { verifyLog } from '../../../node/services/membership/membership-service.ts'
import { checkEnd } from './checkers.ts'
import type { Process, SimNode } from './sim-node.ts'
import { SOUND_STORE } from './store.ts'
import type { World } from './world.ts'

const STEP_MS = 5000
/** Anti-entropy every 30 s with a random neighbour, links that are tried again after 30 s: many rounds of both. */
const CONVERGE_MS_MAX = 20 * 60_000
const CRASH_RATE = 0.5

/** When all faults have stopped, all honest members that are left must come to have the same. */
export async function endWorld(world: World): Promise<void> {
  calm(world)
  const { plan } = world
  if (plan.hostile.length > 0) {
    // Those who prove nothing against themselves keep nobody from agreeing; the others are to be removed first.
    if (!plan.hostile.includes('brazen')) await converge(world, 'before the removals')
    await removeHostile(world)
  }
  const agreed = await converge(world, 'at the end')
  countStranded(world)
  await checkEnd(world, agreed)
}

function calm(world: World): void {
  const prng = world.prng.fork('end')
  world.calm()
  world.storeFaults = SOUND_STORE
  for (const member of world.hostile) member.stop()
  for (const node of world.nodes) {
    node.resume()
    if (prng.chance(CRASH_RATE)) node.crash(true)
    void node.start()
  }
}

/** As people would: frozen members are to be removed, and the others are gone. */
async function removeHostile(world: World): Promise<void> {
  await world.time.run(world.time.nowMs + STEP_MS)
  const founder = world.nodes[0]?.process
  if (!founder) throw new Error('the founder is gone')
  for (const { peer, name } of world.hostile) {
    if (!founder.membership.current().members.has(peer)) continue
    world.trace?.(`the founder removes ${name}`)
    world.removals.add(peer)
    const removed = await world.settled(founder.mesh.remove(peer))
    if (!removed.ok) world.violations.add('M7', `${name} cannot be removed: ${removed.error.code}`)
  }
}

async function converge(world: World, when: string): Promise<readonly Process[]> {
  const { time, violations } = world
  let problem = ''
  for (const endMs = time.nowMs + CONVERGE_MS_MAX; time.nowMs < endMs;) {
    await time.run(time.nowMs + STEP_MS)
    for (const node of world.nodes) if (!node.isUp) void node.start()
    const expected = expectedMembers(world)
    const processes = expected.flatMap(({ process }) => process ?? [])
    problem = processes.length < expected.length ? 'not everybody is up' : await difference(world, processes)
    if (problem === '') {
      world.trace?.(`all agree ${when}`)
      return processes
    }
  }
  violations.add('M16', `no agreement ${when}: ${problem}`)
  return []
}

/**
 * By what the founder knows, and in turn all that are members by it: the log of everybody, whoever has not heard of all
 * of it. A node whose admission was known only to an inviter that lost its disk needs another ticket.
 */
export function expectedMembers(world: World): readonly SimNode[] {
  const present = world.nodes.filter(({ isMember, isLost }) => isMember && !isLost)
  let known = present.slice(0, 1)
  for (;;) {
    const membership = wholeLog(world, known)
    const members = present.filter(({ peer }) => membership.members.has(peer))
    if (members.every((node) => known.includes(node))) return members
    known = [...new Set([...known, ...members])]
  }
}

/** Nodes that think they are members, and that nobody knows: their inviter took the news with it. */
function countStranded(world: World): void {
  const expected = expectedMembers(world)
  const log = wholeLog(world, expected)
  for (const { peer, isLost, isMember } of world.nodes)
    if (isMember && !isLost && !log.members.has(peer) && !log.removed.has(peer) && !log.voided.has(peer))
      world.counts.admissionsLost += 1
}

function wholeLog(world: World, nodes: readonly SimNode[]): Membership {
  const records = new Map<string, Uint8Array>()
  for (const { disk } of nodes)
    for (const bytes of disk.state.records) records.set(toHex(world.crypto.sha256(bytes)), bytes)
  const [mesh] = records.keys()
  const graph = verifyLog(world.crypto, [...records.values()], mesh as Membership['mesh'])
  if (!graph.ok) throw new Error(`the logs of all nodes: ${graph.error.code}`)
  return resolve(graph.value).membership
}

/** What two of them do not have in common; empty when there is nothing. */
async function difference(world: World, processes: readonly Process[]): Promise<string> {
  const [first, ...others] = processes
  if (!first) return 'nobody is left'
  const isCompared = (doc: DocId): boolean => !isVolatile(doc) || processes.some(({ node }) => doc.includes(node.peer))
  const reference = viewOf(first, isCompared)
  for (const other of others) {
    const view = viewOf(other, isCompared)
    for (const key of new Set([...reference.keys(), ...view.keys()]))
      if (reference.get(key) !== view.get(key))
        return `${first.node.name} has ${key} ${reference.get(key)}, ${other.node.name} ${view.get(key)}`
  }
  for (const doc of first.documents.vectors().keys()) {
    if (!isCompared(doc)) continue
    const hash = toHex(await world.settled(first.documents.contentHash(doc)))
    for (const other of others)
      if (toHex(await world.settled(other.documents.contentHash(doc))) !== hash)
        return `${first.node.name} and ${other.node.name} differ in the content of ${doc}`
  }
  return ''
}

/** Positions and hashes of everything, in words. Of memory only what those have who are there. */
function viewOf({ membership, documents, node }: Process, isCompared: (doc: DocId) => boolean): Map<string, string> {
  const view = new Map<string, string>()
  view.set('the membership', membership.heads().map(toHex).join(' '))
  for (const [doc, heads] of documents.vectors()) {
    if (!isCompared(doc)) continue
    for (const [author, { seq }] of heads) {
      const hash = isVolatile(doc) ? '' : headHash(documents, doc, author)
      view.set(`${doc} of ${node.nameOf(author)}`, `${seq} ${hash}`)
    }
  }
  return view
}

function headHash(documents: Process['documents'], doc: DocId, author: PeerId): string {
  const head = documents.headsOf(author).get(doc)
  return head ? toHex(head.hash).slice(0, 12) : 'none'
}
