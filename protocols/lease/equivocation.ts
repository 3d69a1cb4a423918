import { z } from 'zod'
import type { PeerId } from '../../crdt/ids.ts'
import { decodeCanonical, encodeCanonical, equalBytes, MalformedError } from '../codec.ts'
import { Bytes } from '../crypto.ts'
import { MESSAGE_BYTES_MAX } from './frame.ts'
import { Grant, LeaseRequest } from './messages.ts'
import { OverlapIndex } from './overlap-index.ts'
import { overlaps } from './resources.ts'
import { pack, Packed, type Draft, type Signatures, type Signed } from './signing.ts'

/** A grant with the request that it answers. */
type Pair = { readonly req: Draft<LeaseRequest>; readonly grant: Signed<Grant> }

const PackedPair = z.strictObject({ req: Bytes, grant: Packed })
/** Two grants that no voter which keeps its promises signs (L2.12). */
const Fault = z.strictObject({ a: PackedPair, b: PackedPair })
/** Requests over many resources twice: what is larger is not passed on. */
export const FAULT_BYTES_MAX = 64 * 1024

export type ProvenFault = { readonly voter: PeerId; readonly inc: string; readonly bytes: Uint8Array }

/** Grants that are remembered: as many as two owners can hold leases … */
const REMEMBERED_MAX = 4096
/** … of a few paths each; of leases over hundreds of paths fewer. */
const REMEMBERED_BYTES_MAX = 8 * 1024 * 1024

/** What of a pair another one can contradict. */
type Statement = Pick<Grant, 'voter' | 'inc' | 'epoch' | 'space' | 'vseq' | 'first' | 'lid'> &
  Pick<LeaseRequest, 'node' | 'owner' | 'res'> & { readonly grantHash: Uint8Array }

/** The pair packed, for the proof: kept as it was read, thousands of them would take three times as much memory. */
type Item = Statement & { readonly bytes: Uint8Array }

/** Compares the grants that this node gets to see, whoever they were made for. */
export class EquivocationWatch {
  readonly #index = new OverlapIndex<Item>()
  readonly #items = new Map<string, Item>()
  #bytes = 0

  /** Takes in a grant whose signature was checked; answers with the proof when it contradicts an earlier one. */
  note(pair: Pair): ProvenFault | undefined {
    const statement = statementOf(pair)
    const { voter, inc, node, lid, res } = statement
    const other = [...this.#index.overlapping(res)].find((item) => contradict(item, statement))
    this.#remember(`${voter}/${inc}/${node}/${lid}`, statement, pair)
    const bytes = other && encodeCanonical({ a: unpackPair(other), b: packPair(pair) })
    return bytes && bytes.byteLength <= FAULT_BYTES_MAX ? { voter, inc, bytes } : undefined
  }

  /** Of one lease the latest grant says all that the earlier ones said. */
  #remember(key: string, statement: Statement, pair: Pair): void {
    const known = this.#items.get(key)
    if (known && known.epoch === statement.epoch && known.vseq >= statement.vseq) return
    this.#forget(key)
    const item: Item = { ...statement, bytes: encodeCanonical(packPair(pair)) }
    // No proof with it would be passed on.
    if (item.bytes.byteLength > FAULT_BYTES_MAX) return
    this.#items.set(key, item)
    this.#index.add(item)
    this.#bytes += item.bytes.byteLength
    for (const oldest of this.#items.keys()) {
      if (this.#items.size <= REMEMBERED_MAX && this.#bytes <= REMEMBERED_BYTES_MAX) return
      this.#forget(oldest)
    }
  }

  #forget(key: string): void {
    const item = this.#items.get(key)
    if (!item) return
    this.#index.remove(item)
    this.#items.delete(key)
    this.#bytes -= item.bytes.byteLength
  }
}

/** Who broke its word, if the bytes prove it. Never throws, whatever the bytes. */
export function readFault(signatures: Signatures, bytes: Uint8Array): ProvenFault | undefined {
  try {
    const fault = decodeCanonical(Fault, bytes, FAULT_BYTES_MAX)
    const [a, b] = [fault.a, fault.b].map(({ req, grant }) => ({
      req: signatures.draft('request', decodeCanonical(LeaseRequest, req, MESSAGE_BYTES_MAX)),
      grant: signatures.unpack('grant', Grant, grant, MESSAGE_BYTES_MAX),
    }))
    if (!a || !b || !contradict(statementOf(a), statementOf(b))) return undefined
    const { voter, inc } = a.grant.body
    const isProven = [a, b].every(
      ({ req, grant }) => equalBytes(grant.body.reqHash, req.hash) && signatures.isSignedBy(voter, grant),
    )
    return isProven ? { voter, inc, bytes } : undefined
  } catch (error) {
    if (error instanceof MalformedError) return undefined
    throw error
  }
}

/**
 * From the first to the latest grant of a lease in an epoch a voter grants nothing that overlaps to another owner, it
 * never uses a number twice, and a lease has one first grant.
 */
function contradict(a: Statement, b: Statement): boolean {
  if (a.voter !== b.voter || a.inc !== b.inc || a.epoch !== b.epoch || a.space !== b.space) return false
  if (a.vseq === b.vseq) return !equalBytes(a.grantHash, b.grantHash)
  if (a.node === b.node && a.lid === b.lid) return a.first !== b.first
  const isOneOwner = a.node === b.node && a.owner === b.owner
  const isAtOnce = a.first <= b.vseq && b.first <= a.vseq
  return !isOneOwner && isAtOnce && a.res.some((x) => b.res.some((y) => overlaps(x, y)))
}

function statementOf({ req, grant }: Pair): Statement {
  const { voter, inc, epoch, space, vseq, first, lid } = grant.body
  const { node, owner, res } = req.body
  return { voter, inc, epoch, space, vseq, first, lid, node, owner, res, grantHash: grant.hash }
}

const unpackPair = ({ bytes }: Item): z.infer<typeof PackedPair> => decodeCanonical(PackedPair, bytes, Infinity)
const packPair = ({ req, grant }: Pair): z.infer<typeof PackedPair> => ({ req: req.bytes, grant: pack(grant) })
