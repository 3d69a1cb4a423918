import type { MeshId, PeerId } from '../../crdt/ids.ts'
import { decodeCanonical, equalBytes, MalformedError, toHex } from '../codec.ts'
import { isSameBallot, SealCertificate, SealVote } from './ballot.ts'
import { CONFIG_BYTES_MAX, readConfig, readFounderConfig, type VoterSet } from './config.ts'
import { Packed, type Signatures, type Signed } from './signing.ts'

/** 63 seals and a configuration of as many voters fit twice. */
export const SEAL_CERTIFICATE_BYTES_MAX = 64 * 1024
const SEAL_BYTES_MAX = 1024

/**
 * A set installed by force starts a thousand epochs further: whatever the voters so far still decide among themselves
 * stays below it, and is fenced by it.
 */
export const FORCED_EPOCHS = 1000
export const forcedEpochAfter = (epoch: number): number => (Math.floor(epoch / FORCED_EPOCHS) + 1) * FORCED_EPOCHS

/** What the membership log says about voters after the first. */
export type VoterSetRecord =
  | { readonly kind: 'sealed'; readonly bytes: Uint8Array }
  | { readonly kind: 'forced'; readonly bytes: Uint8Array; readonly by: PeerId }

/** How a set came to be: what its voters need before they may grant. */
export type Origin =
  | { readonly is: 'founded' }
  | { readonly is: 'forced' }
  /** By these voters of the epoch before, each with what it left behind. */
  | { readonly is: 'sealed'; readonly seals: readonly SealVote[] }

export type Epoch = { readonly set: VoterSet; readonly origin: Origin }

/**
 * Sets that were verified, by the bytes of their records. A sealed one names its predecessor by hash, so whether a record
 * is right does not depend on what else there is.
 */
export type VerifiedSets = WeakMap<Uint8Array, Epoch>

/** Every voter set that the mesh has agreed on, as far as this node knows. */
export type EpochChain = {
  readonly current: Epoch
  /** By the hex of its cid: old certificates are verified against the set of their time. */
  readonly byCid: ReadonlyMap<string, Epoch>
}

/**
 * Follows the records from the founder's configuration: a sealed one counts when a quorum of the set it replaces sealed
 * the same ballot for it, a forced one when its author signed it (whether the author may is the log's matter). Of all
 * that count the highest epoch is current; two forced sets of one epoch are settled by their hashes. The same on every
 * node, whatever the order of the records. Undefined without a valid first configuration. What is in `known` is not
 * verified again, and what is found to be right is put there: whoever keeps it passes the same objects again.
 */
export function resolveEpochs(
  signatures: Signatures,
  mesh: { readonly space: MeshId; readonly founder: PeerId; readonly first: Uint8Array },
  records: readonly VoterSetRecord[],
  known: VerifiedSets = new WeakMap(),
): EpochChain | undefined {
  const byCid = new Map<string, Epoch>()
  const add = (bytes: Uint8Array, read: () => Epoch | undefined): boolean => {
    const epoch = known.get(bytes) ?? attempt(read)
    if (!epoch) return false
    known.set(bytes, epoch)
    byCid.set(toHex(epoch.set.cid), epoch)
    return true
  }
  const isFounded = add(mesh.first, () => ({
    set: readFounderConfig(signatures, mesh.first, mesh),
    origin: { is: 'founded' },
  }))
  if (!isFounded) return undefined
  for (const record of records) {
    if (record.kind === 'forced') add(record.bytes, () => readForced(signatures, mesh.space, record))
  }
  let waiting = records.flatMap((record) => (record.kind === 'sealed' ? [record.bytes] : []))
  for (let before = Infinity; waiting.length < before;) {
    before = waiting.length
    waiting = waiting.filter((bytes) => !add(bytes, () => readSealed(signatures, byCid, bytes)))
  }
  const [current] = [...byCid.values()].toSorted((a, b) => compareSets(b.set, a.set))
  return current && { current, byCid }
}

/** Positive when `a` is the newer one. */
export const compareSets = (a: VoterSet, b: VoterSet): number =>
  a.epoch - b.epoch || (toHex(a.cid) < toHex(b.cid) ? -1 : toHex(a.cid) > toHex(b.cid) ? 1 : 0)

function readForced(signatures: Signatures, space: MeshId, record: { bytes: Uint8Array; by: PeerId }): Epoch {
  const set = readConfig(signatures, decodeCanonical(Packed, record.bytes, CONFIG_BYTES_MAX))
  const { body } = set.config
  const isForced = body.space === space && body.by === record.by && body.epoch % FORCED_EPOCHS === 0
  if (!isForced) throw new MalformedError('not a forced configuration of this mesh')
  return { set, origin: { is: 'forced' } }
}

function readSealed(signatures: Signatures, known: ReadonlyMap<string, Epoch>, bytes: Uint8Array): Epoch | undefined {
  const certificate = decodeCanonical(SealCertificate, bytes, SEAL_CERTIFICATE_BYTES_MAX)
  const set = readConfig(signatures, certificate.config)
  const { prev } = set.config.body
  const before = prev && known.get(toHex(prev))
  return before ? verifySeals(signatures, { before: before.set, set }, certificate) : undefined
}

/** @throws MalformedError when the certificate does not prove that `before` was replaced by `set`. */
export function verifySeals(
  signatures: Signatures,
  { before, set }: { readonly before: VoterSet; readonly set: VoterSet },
  certificate: SealCertificate,
): Epoch {
  const seals = certificate.seals.map((packed) => readSeal(signatures, packed))
  const [first] = seals
  const isOneDecision = seals.every(
    ({ body }) =>
      first !== undefined &&
      isSameBallot(body.ballot, first.body.ballot) &&
      equalBytes(body.next, set.cid) &&
      body.epoch === before.epoch &&
      equalBytes(body.cid, before.cid) &&
      before.incarnations.get(body.voter) === body.inc,
  )
  const isQuorum = new Set(seals.map(({ body }) => body.voter)).size === seals.length && seals.length >= before.quorum
  const { space, epoch } = set.config.body
  const isNext = space === before.config.body.space && epoch === before.epoch + 1
  if (!isOneDecision || !isQuorum || !isNext) throw new MalformedError('the seals do not decide on this configuration')
  return { set, origin: { is: 'sealed', seals: seals.map(({ body }) => body) } }
}

function readSeal(signatures: Signatures, packed: Packed): Signed<SealVote> {
  const seal = signatures.unpack('seal', SealVote, packed, SEAL_BYTES_MAX)
  if (!signatures.isSignedBy(seal.body.voter, seal)) throw new MalformedError('a seal that its voter did not sign')
  return seal
}

/** What anybody may have written into the log is no reason to fail. */
function attempt<T>(read: () => T): T | undefined {
  try {
    return read()
  } catch (error) {
    if (error instanceof MalformedError) return undefined
    throw error
  }
}
