import type { MeshId, PeerId } from '../../crdt/ids.ts'
import { encodeCanonical } from '../codec.ts'
import { Config } from './messages.ts'
import { pack, Packed, type Keys, type Signed, Signatures } from './signing.ts'
import { decodeCanonical, MalformedError } from '../codec.ts'

/** A configuration of 63 voters fits several times. */
export const CONFIG_BYTES_MAX = 32 * 1024

/** A configuration as voters and claimants use it. */
export type VoterSet = {
  readonly config: Signed<Config>
  /** Hash of the configuration. */
  readonly cid: Uint8Array
  readonly epoch: number
  /** A majority, also when the number of voters is even: half is not enough. */
  readonly quorum: number
  readonly incarnations: ReadonlyMap<PeerId, string>
}

/** Epoch 1: the founder is the only voter. `inc` is the incarnation in the founder's voter journal. */
export function createFounderConfig(keys: Keys & { space: MeshId; inc: string }): Uint8Array {
  const founder = keys.signer.peer
  const config: Config = {
    v: 1,
    space: keys.space,
    epoch: 1,
    voters: [{ node: founder, inc: keys.inc }],
    prev: null,
    by: founder,
  }
  return encodeCanonical(pack(new Signatures(keys).sign('config', config)))
}

/** Reads a packed configuration; whoever signed it is named in it, and did. @throws MalformedError */
export function readConfig(signatures: Signatures, packed: Packed): VoterSet {
  const config = signatures.unpack('config', Config, packed, CONFIG_BYTES_MAX)
  const { by, voters } = config.body
  if (!signatures.isSignedBy(by, config)) throw new MalformedError('a configuration that its author did not sign')
  const isDistinct = new Set(voters.map(({ node }) => node)).size === voters.length
  if (!isDistinct) throw new MalformedError('a configuration names a voter twice')
  return voterSetOf(config)
}

/** The configuration of epoch 1 in these bytes. @throws MalformedError when they are anything else. */
export function readFounderConfig(
  signatures: Signatures,
  bytes: Uint8Array,
  mesh: { readonly space: MeshId; readonly founder: PeerId },
): VoterSet {
  const set = readConfig(signatures, decodeCanonical(Packed, bytes, CONFIG_BYTES_MAX))
  const { space, by, epoch, prev } = set.config.body
  if (space === mesh.space && by === mesh.founder && epoch === 1 && prev === null) return set
  throw new MalformedError('not the first configuration of this mesh')
}

export function voterSetOf(config: Signed<Config>): VoterSet {
  const { voters, epoch } = config.body
  return {
    config,
    cid: config.hash,
    epoch,
    quorum: Math.floor(voters.length / 2) + 1,
    incarnations: new Map(voters.map(({ node, inc }) => [node, inc])),
  }
}
