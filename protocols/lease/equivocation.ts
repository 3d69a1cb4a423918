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

/** Grants that are remembered: as many as two owners can hold leases. */
const REMEMBERED_MAX = 4096

type Item = Pair & { readonly res: LeaseRequest['res'] }

/** Compares the grants that this node gets to see, whoever they were made for. */
export class EquivocationWatch {
  readonly #index = new OverlapIndex<Item>()
  readonly #items = new Map<string, Item>()

  /** Takes in a grant whose signature was checked; answers with the proof when it contradicts an earlier one. */
  note(pair: Pair): ProvenFault | undefined {
    const { voter, inc, lid } = pair.grant.body
    const suspects = [...this.#index.overlapping(pair.req.body.res)]
    const other = suspects.find((item) => contradict(item, pair))
    this.#remember(`${voter}/${inc}/${pair.req.body.node}/${lid}`, pair)
    const bytes = other && encodeCanonical({ a: packPair(other), b: packPair(pair) })
    return bytes && bytes.byteLength <= FAULT_BYTES_MAX ? { voter, inc, bytes } : undefined
  }

  /** Of one lease the latest grant says all that the earlier ones said. */
  #remember(key: string, pair: Pair): void {
    const known = this.#items.get(key)
    if (known && known.grant.body.epoch === pair.grant.body.epoch && known.grant.body.vseq >= pair.grant.body.vseq)
      return
    this.#forget(key)
    const item: Item = { req: pair.req, grant: pair.grant, res: pair.req.body.res }
    this.#items.set(key, item)
    this.#index.add(item)
    const oldest = this.#items.keys().next()
    if (this.#items.size > REMEMBERED_MAX && !oldest.done) this.#forget(oldest.value)
  }

  #forget(key: string): void {
    const item = this.#items.get(key)
    if (item) this.#index.remove(item)
    this.#items.delete(key)
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
    if (!a || !b || !contradict(a, b)) return undefined
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
function contradict(a: Pair, b: Pair): boolean {
  const [one, two] = [a.grant.body, b.grant.body]
  if (one.voter !== two.voter || one.inc !== two.inc || one.epoch !== two.epoch || one.space !== two.space) return false
  if (one.vseq === two.vseq) return !equalBytes(a.grant.hash, b.grant.hash)
  if (a.req.body.node === b.req.body.node && one.lid === two.lid) return one.first !== two.first
  const isOneOwner = a.req.body.node === b.req.body.node && a.req.body.owner === b.req.body.owner
  const isAtOnce = one.first <= two.vseq && two.first <= one.vseq
  return !isOneOwner && isAtOnce && a.req.body.res.some((x) => b.req.body.res.some((y) => overlaps(x, y)))
}

const packPair = ({ req, grant }: Pair): z.infer<typeof PackedPair> => ({ req: req.bytes, grant: pack(grant) })
