import type { PeerId } from '../../../crdt/ids.ts'
import { toHex } from '../../../protocols/codec.ts'
import { resolveEpochs, type Epoch, type EpochChain, type VerifiedSets } from '../../../protocols/lease/epochs.ts'
import { readFault } from '../../../protocols/lease/equivocation.ts'
import type { Signatures } from '../../../protocols/lease/signing.ts'
import type { Membership, RecordedVoterSet } from '../../../protocols/membership/membership.ts'

/** Who votes, as the membership log says. */
export type VoterSets = {
  /** Undefined while the mesh has no valid first configuration. */
  current(): Epoch | undefined
  /** The set of which a request or certificate names the hash. */
  find(cid: Uint8Array): Epoch | undefined
  /** Whether a voter was convicted of breaking its word: its grants support no lease any more. */
  readonly isConvicted: (voter: PeerId, inc: string) => boolean
}

export type Convicted = { readonly voter: PeerId; readonly inc: string }

/** Read anew only when the log says something else: checking it costs signatures. */
export function createVoterSets(signatures: Signatures, membership: () => Membership): VoterSets {
  let chain: { first: unknown; records: readonly RecordedVoterSet[]; value: EpochChain | undefined } | undefined
  const verified: VerifiedSets = new WeakMap()
  let faults: { records: readonly Uint8Array[]; value: ReadonlyMap<string, Convicted> } | undefined
  const epochs = (): EpochChain | undefined => {
    const { leaseConfig: first, voterSets: records, mesh: space, founder } = membership()
    if (!chain || chain.first !== first || !isSameLog(chain.records, records)) {
      chain = {
        first,
        records,
        value: first && resolveEpochs(signatures, { space, founder, first }, records, verified),
      }
    }
    return chain.value
  }
  const convictions = (): ReadonlyMap<string, Convicted> => {
    const { voterFaults: records } = membership()
    if (!faults || !isSame(faults.records, records)) {
      const proven = records.flatMap((bytes) => readFault(signatures, bytes) ?? [])
      faults = { records, value: new Map(proven.map(({ voter, inc }) => [`${voter}/${inc}`, { voter, inc }])) }
    }
    return faults.value
  }
  return {
    current: () => epochs()?.current,
    find: (cid) => epochs()?.byCid.get(toHex(cid)),
    isConvicted: (voter, inc) => convictions().has(`${voter}/${inc}`),
  }
}

const isSameLog = (a: readonly RecordedVoterSet[], b: readonly RecordedVoterSet[]): boolean =>
  a === b || isSame(a.map(bytesOf), b.map(bytesOf))

const bytesOf = ({ bytes }: RecordedVoterSet): Uint8Array => bytes

/** The log only grows, and keeps what is in it. */
const isSame = (a: readonly Uint8Array[], b: readonly Uint8Array[]): boolean =>
  a.length === b.length && a.every((bytes, i) => bytes === b[i])
