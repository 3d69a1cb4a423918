import type { MeshId, PeerId } from '../../crdt/ids.ts'
import { encodeCanonical } from '../codec.ts'
import type { Crypto } from '../crypto.ts'
import type { Config } from './messages.ts'
import { isSignedBy, signAs, type Keys } from './signing.ts'

/** A configuration as voters and claimants use it. */
export type VoterSet = {
  readonly config: Config
  /** Hash of the configuration without its signature. */
  readonly cid: Uint8Array
  /** A majority, also when the number of voters is even: half is not enough. */
  readonly quorum: number
  readonly incarnations: ReadonlyMap<PeerId, string>
}

/** Epoch 1: the founder is the only voter. `inc` is the incarnation in the founder's voter journal. */
export function createFounderConfig(keys: Keys & { space: MeshId; inc: string }): Config {
  const founder = keys.signer.peer
  return signAs(keys, 'config', {
    v: 1 as const,
    space: keys.space,
    epoch: 1,
    voters: [{ node: founder, inc: keys.inc }],
    prev: null,
    by: founder,
  })
}

/** Whether this is a configuration of epoch 1 of that mesh, signed by its founder, with distinct voters. */
export function verifyConfig(crypto: Crypto, config: Config, mesh: { space: MeshId; founder: PeerId }): boolean {
  return (
    config.space === mesh.space &&
    config.by === mesh.founder &&
    config.epoch === 1 &&
    config.prev === null &&
    new Set(config.voters.map(({ node }) => node)).size === config.voters.length &&
    isSignedBy(crypto, mesh.founder, 'config', config)
  )
}

export function voterSetOf(crypto: Crypto, config: Config): VoterSet {
  const { sig: _sig, ...body } = config
  return {
    config,
    cid: crypto.sha256(encodeCanonical(body)),
    quorum: Math.floor(config.voters.length / 2) + 1,
    incarnations: new Map(config.voters.map(({ node, inc }) => [node, inc])),
  }
}
