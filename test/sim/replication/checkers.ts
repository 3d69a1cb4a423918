import { decode } from 'cborg'
import { isVolatile, projectDoc, type DocId, type PeerId } from '../../../crdt/ids.ts'
import { deletedTasks, taskBodies } from '../../../crdt/task-document.ts'
import { equalBytes } from '../../../protocols/codec.ts'
import { hashOf } from './ledger.ts'
import type { Process, SimNode } from './sim-node.ts'
import type { World } from './world.ts'
import { BOARD } from './writer.ts'

/** What must hold of those that have come to agree. All have the same, so one of them is looked at. */
export async function checkEnd(world: World, processes: readonly Process[]): Promise<void> {
  const [first] = processes
  if (!first) return
  world.counts.convergedDocuments += first.documents.vectors().size
  checkAcknowledged(world, first)
  checkDisks(world, processes)
  checkRemovals(world, first)
  checkCuts(world, first)
  checkBuiltOn(world, first)
  checkWaiting(world, processes)
  await checkTasks(world, first)
}

/** No write that its caller was told is safe is missing, unless it was void, or its only copy burnt. */
function checkAcknowledged(world: World, { node, membership }: Process): void {
  const { counts, violations } = world
  const { members } = membership.current()
  for (const { doc, author, seq, hash, writer } of world.ledger.acknowledged) {
    const stored = node.disk.state.feeds.get(doc)?.get(author)?.[seq - 1]
    if (stored && hashOf(stored.bytes) === hash) counts.ackedFound += 1
    else if (stored) violations.add('M14', `${doc} ${seq} of ${writer.name} has become another`)
    else if (writer.isLost || !members.has(author)) counts.ackedBeyondCut += 1
    else violations.add('D7', `${doc} ${seq}, which ${writer.name} acknowledged, is lost`)
  }
}

/** What a node shows is what a restart would find. */
function checkDisks(world: World, processes: readonly Process[]): void {
  for (const { node, documents } of processes) {
    for (const [doc, heads] of documents.vectors()) {
      if (isVolatile(doc)) continue
      for (const [author, { seq }] of heads)
        if (node.headOf(doc, author) !== seq)
          world.violations.add(
            'D7',
            `${node.name} has ${doc} of ${world.nameOf(author)} up to ${seq}, its disk up to ${node.headOf(doc, author)}`,
          )
    }
  }
}

/** Nobody is removed but by an admin. */
function checkRemovals(world: World, { membership, node }: Process): void {
  for (const peer of membership.current().removed.keys())
    if (!world.removals.has(peer))
      world.violations.add('M4', `${node.name} has ${world.nameOf(peer)} as removed by nobody`)
}

/** M7, told anew: what a former member wrote counts up to its cut, or as far as what counts builds on it. */
function checkCuts(world: World, { node, membership }: Process): void {
  const { members, removed } = membership.current()
  for (const [doc, authors] of node.disk.state.feeds) {
    const cutOf = (author: PeerId): number =>
      members.has(author) ? Infinity : (removed.get(author)?.get(doc)?.seq ?? 0)
    const needed = neededIn(authors, cutOf)
    for (const [author, feed] of authors) {
      const limit = Math.max(cutOf(author), needed.get(author) ?? 0)
      if (feed.length > limit)
        world.violations.add('M7', `${doc} of ${world.nameOf(author)} goes on to ${feed.length}, beyond ${limit}`)
    }
  }
}

type Feeds = SimNode['disk']['state']['feeds'] extends Map<DocId, infer T> ? T : never

/** How far others build on each author, of what counts up to its cut or because it is needed in turn. */
function neededIn(authors: Feeds, cutOf: (author: PeerId) => number): Map<PeerId, number> {
  const needed = new Map<PeerId, number>()
  for (let grown = true; grown;) {
    grown = false
    for (const [author, feed] of authors) {
      const counted = feed.slice(0, Math.max(cutOf(author), needed.get(author) ?? 0))
      for (const { bytes } of counted) {
        for (const [peer, { seq }] of builtOn(bytes)) {
          if (seq <= (needed.get(peer) ?? 0)) continue
          needed.set(peer, seq)
          grown = true
        }
      }
    }
  }
  return needed
}

type Place = { readonly seq: number; readonly hash: Uint8Array }

const builtOn = (bytes: Uint8Array): [PeerId, Place][] =>
  Object.entries((decode(bytes) as { deps: Record<string, Place> }).deps) as [PeerId, Place][]

/** What was accepted builds on nothing but what is there, whichever branch of a forked feed that is on. */
function checkBuiltOn(world: World, { node }: Process): void {
  for (const [doc, authors] of node.disk.state.feeds)
    for (const [author, feed] of authors)
      for (const { seq, bytes } of feed)
        for (const [other, place] of builtOn(bytes)) {
          const held = authors.get(other)?.[place.seq - 1]
          if (held && equalBytes(world.crypto.sha256(held.bytes), place.hash)) continue
          if (isInBranch(world, node, { doc, author: other, ...place })) world.counts.builtOnBranches += 1
          else
            world.violations.add(
              'M10',
              `${node.name} has ${doc} ${seq} of ${world.nameOf(author)}, and not ${place.seq} of ${world.nameOf(other)} below it`,
            )
        }
}

function isInBranch(world: World, { disk }: SimNode, { doc, author, seq, hash }: Place & FeedKey): boolean {
  const name = `feeds/forks/${doc}/${author}`
  const fact = disk.state.facts.get(name)
  const { parts } = fact ? (decode(fact) as { parts: number }) : { parts: 0 }
  return Array.from({ length: parts }, (_, part) => disk.state.facts.get(`${name}/${part}`))
    .flatMap((part) => (part ? (decode(part) as Uint8Array[]) : []))
    .some((bytes) => (decode(bytes) as Place).seq === seq && equalBytes(world.crypto.sha256(bytes), hash))
}

type FeedKey = { readonly doc: DocId; readonly author: PeerId }

/** What waits is bounded; of members nothing waits that could be there. */
function checkWaiting(world: World, processes: readonly Process[]): void {
  for (const { documents } of processes)
    for (const { waiting } of documents.info()) world.counts.waitingMost = Math.max(world.counts.waitingMost, waiting)
}

/** A task that was made, and whose making was told, is on the board or was deleted. */
async function checkTasks(world: World, { documents, node }: Process): Promise<void> {
  const known = await world.settled(
    documents.read(projectDoc(BOARD), (state) => new Set([...taskBodies(state).keys(), ...deletedTasks(state).keys()])),
  )
  for (const { id, writer, seq } of world.tasks) {
    const isIn = node.headOf(projectDoc(BOARD), writer.peer) >= seq
    if (isIn && !known.has(id)) world.violations.add('tasks', `task ${id} of ${writer.name} is lost`)
  }
}
