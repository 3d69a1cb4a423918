import { domainError, type DomainError } from '../../../crdt/errors.ts'
import type { MeshId } from '../../../crdt/ids.ts'
import { err, ok, type Result } from '../../../crdt/result.ts'
import { toHex } from '../../../protocols/codec.ts'
import type { Crypto, Signer } from '../../../protocols/crypto.ts'
import type { RecordGraph } from '../../../protocols/membership/graph.ts'
import { createFounderConfig } from '../../../protocols/lease/config.ts'
import type { Membership } from '../../../protocols/membership/membership.ts'
import {
  type Draft,
  type LogRecord,
  PARENTS_MAX,
  parseRecord,
  sealRecord,
} from '../../../protocols/membership/records.ts'
import { graphOf, resolve, type Resolution } from '../../../protocols/membership/resolver.ts'
import type { Clock } from '../../ports/clock.ts'
import type { FeedStore } from '../../ports/feed-store.ts'
import type { Log } from '../../ports/log.ts'
import type { Random } from '../../ports/random.ts'
import { createIntake, RECORDS_MAX, recordsAfter } from './membership-intake.ts'

export type MembershipDeps = {
  readonly store: Pick<FeedStore, 'appendRecords' | 'readRecords'>
  readonly crypto: Crypto
  readonly signer: Signer
  readonly clock: Pick<Clock, 'wallMs'>
  readonly log: Log
}

export type MembershipListener = (current: Membership, previous: Membership) => void

/** What a decision about the next record may look at. */
export type AuthoringView = { readonly resolution: Resolution; readonly nowMs: number }

export type MembershipService = {
  readonly mesh: MeshId
  current(): Membership
  /** The membership with what it was made from. */
  resolution(): Resolution
  /** Hashes of the records nobody refers to yet, in byte order. */
  heads(): readonly Uint8Array[]
  has(hash: Uint8Array): boolean
  /** Records that are neither these heads nor their ancestors, parents first. Heads unknown here count as nothing. */
  after(heads: readonly Uint8Array[]): readonly Uint8Array[]
  /** Every record, parents first. */
  all(): readonly Uint8Array[]
  /**
   * Takes in records from a peer, in any order. Resolves with those that were new, parents first, once they are
   * durable. Records whose parents are unknown wait in a bounded buffer; bad ones are refused and logged. Rejects only
   * when the disk refuses: then nothing has changed.
   */
  receive(records: readonly Uint8Array[]): Promise<readonly Uint8Array[]>
  /**
   * Appends one record of our own. `decide` sees the log as it will be extended: no other record comes in between, so a
   * check there holds. It may answer without a draft to leave the log as it is. Tells nobody before it is durable.
   * @errors forbidden (our own standing does not allow it), limit_reached, storage_failed, and what `decide` answers
   */
  author(decide: (view: AuthoringView) => Result<Draft | undefined>): Promise<Result<LogRecord | undefined>>
  /** Called after every change of the log, once it is durable. What a listener throws is logged. */
  onChange(listener: MembershipListener): () => void
}

/**
 * The membership of this node's mesh, from its store; undefined when the store has no log yet. A log is never edited:
 * where a node has replaced its mesh, the latest genesis counts.
 */
export async function loadMembership(deps: MembershipDeps): Promise<MembershipService | undefined> {
  const records = (await deps.store.readRecords()).flatMap((bytes) => {
    const record = parseRecord(deps.crypto, bytes)
    if (!record.ok) deps.log.error({ why: record.error }, 'a stored membership record cannot be read and is left out')
    return record.ok ? [record.value] : []
  })
  const genesis = records.findLast(({ act }) => act.type === 'genesis')
  if (!genesis) return undefined
  return createService(deps, graphOf(deps.crypto, ofMesh(records, genesis.mesh)))
}

/** Founds a mesh: we are its only member, hold every capability and are its only voter. Durable when it resolves. */
export async function createMesh(
  deps: MembershipDeps & { readonly random: Random },
  founder: { readonly name: string; readonly boxKey: Uint8Array; readonly voterInc: string },
): Promise<MembershipService> {
  const { crypto, signer, store, random } = deps
  const { name } = founder
  const atMs = deps.clock.wallMs()
  const boxKey = founder.boxKey.slice()
  const nonce = random.bytes(32).slice()
  const genesis = sealRecord(
    crypto,
    signer,
    { mesh: undefined, parents: [], atMs },
    { type: 'genesis', name, boxKey, nonce },
  )
  const config = createFounderConfig({ crypto, signer, space: genesis.mesh, inc: founder.voterInc })
  const place = { mesh: genesis.mesh, parents: [genesis.id], atMs }
  const lease = sealRecord(crypto, signer, place, { type: 'leaseConfig', config })
  await store.appendRecords([genesis.bytes, lease.bytes])
  return createService(deps, graphOf(crypto, [genesis, lease]))
}

/**
 * Makes another node's log ours, after checking that it leads back to the expected genesis and that we are a member.
 * Durable when it resolves.
 * @errors ticket_other_mesh, limit_reached, storage_failed
 */
export async function adoptMesh(
  deps: MembershipDeps,
  records: readonly Uint8Array[],
  mesh: MeshId,
): Promise<Result<MembershipService>> {
  const verified = verifyLog(deps.crypto, records, mesh)
  if (!verified.ok) return verified
  const graph = verified.value
  if (!resolve(graph).membership.members.has(deps.signer.peer)) return err(notAdmitted())
  const stored = await storeRecords(
    deps,
    graph.nodes.map(({ record }) => record.bytes),
  )
  return stored.ok ? ok(createService(deps, graph)) : stored
}

/**
 * Checks a whole log from elsewhere back to the expected genesis. Records that no log admits are left out.
 * @errors ticket_other_mesh, limit_reached
 */
export function verifyLog(crypto: Crypto, records: readonly Uint8Array[], mesh: MeshId): Result<RecordGraph> {
  if (records.length > RECORDS_MAX) return err(domainError('limit_reached'))
  const parsed = records.flatMap((bytes) => {
    const record = parseRecord(crypto, bytes)
    return record.ok ? [record.value] : []
  })
  const graph = graphOf(crypto, ofMesh(parsed, mesh))
  return graph.nodes.length > 0 ? ok(graph) : err(domainError('ticket_other_mesh'))
}

const ofMesh = (records: readonly LogRecord[], mesh: MeshId): LogRecord[] =>
  records.filter((record) => record.mesh === mesh)

const notAdmitted = (): DomainError =>
  domainError('ticket_invalid', { message: 'The log of the mesh does not have this node as a member.' })

function createService(deps: MembershipDeps, graph: RecordGraph): MembershipService {
  const { crypto, signer, clock, log } = deps
  const listeners = createListeners(log)
  const inTurn = createTurns()
  let resolution = resolve(graph)
  const { mesh } = resolution.membership
  const intake = createIntake({ crypto, log, mesh }, graph)

  const publish = (): void => {
    const previous = resolution.membership
    resolution = resolve(graph)
    listeners.tell(resolution.membership, previous)
  }
  return {
    mesh,
    current: () => resolution.membership,
    resolution: () => resolution,
    heads: () => resolution.membership.heads,
    has: (hash) => graph.find(toHex(hash)) !== undefined,
    after: (heads) => recordsAfter(graph, heads),
    all: () => graph.nodes.map(({ record }) => record.bytes),
    receive: (records) =>
      inTurn(async () => {
        const before = graph.nodes.length
        for (const bytes of records) intake.take(bytes)
        const fresh = graph.nodes.slice(before).map(({ record }) => record.bytes)
        if (fresh.length === 0) return fresh
        try {
          await deps.store.appendRecords(fresh)
        } catch (error) {
          graph.truncate(before)
          throw error
        }
        publish()
        return fresh
      }),
    author: (decide) =>
      inTurn(async () => {
        const nowMs = clock.wallMs()
        const decided = decide({ resolution, nowMs })
        if (!decided.ok || !decided.value) return decided.ok ? ok(undefined) : decided
        const parents = resolution.membership.heads.slice(0, PARENTS_MAX)
        const record = sealRecord(crypto, signer, { mesh, parents, atMs: nowMs }, decided.value)
        const why = intake.refusalOf(record)
        if (why === 'limit_reached') return err(domainError('limit_reached'))
        if (why || !resolution.allows(graph.place(record))) return err(notAllowed(decided.value))
        const stored = await storeRecords(deps, [record.bytes])
        if (!stored.ok) return stored
        graph.add(record)
        publish()
        return ok(record)
      }),
    onChange: listeners.add,
  }
}

function createListeners(log: Log): { add: MembershipService['onChange']; tell: MembershipListener } {
  const listeners = new Set<MembershipListener>()
  return {
    add(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    tell(current, previous) {
      for (const listener of listeners) {
        try {
          listener(current, previous)
        } catch (error) {
          log.error({ err: error }, 'a membership listener failed')
        }
      }
    },
  }
}

async function storeRecords(deps: MembershipDeps, records: readonly Uint8Array[]): Promise<Result<null>> {
  try {
    await deps.store.appendRecords(records)
    return ok(null)
  } catch (error) {
    deps.log.error({ err: error }, 'membership records could not be stored')
    return err(domainError('storage_failed'))
  }
}

const notAllowed = (draft: Draft): DomainError =>
  domainError('forbidden', { message: `This node's capabilities do not allow it (${draft.type}).` })

/** Runs tasks one after another, in the order they were given. */
function createTurns(): <T>(task: () => Promise<T>) => Promise<T> {
  let last: Promise<unknown> = Promise.resolve()
  return async (task) => {
    const turn = last.then(task, task)
    // The caller gets the failure; the queue only waits for the end.
    last = turn.catch(() => undefined)
    return await turn
  }
}
