import type { Capability } from '../../crdt/capability.ts'
import { toHex } from '../codec.ts'
import type { Crypto } from '../crypto.ts'
import { type GraphNode, isAncestor, type RecordGraph } from './graph.ts'
import { grantOf, keptBy } from './log-index.ts'
import {
  inviteProofBytes,
  type KnownRecord,
  knownCapabilities,
  recoveryProofBytes,
  type RecordRefusal,
} from './records.ts'

/**
 * Whether a record may enter the log at all. It looks only at the record's own ancestors and only at grants, never at
 * what took them away, so every replica answers the same for ever, whatever else it knows. A record that passes may
 * still be void.
 */
export function admissionRefusal(crypto: Crypto, graph: RecordGraph, node: GraphNode): RecordRefusal | undefined {
  const { act, author, mesh } = node.record
  const genesis = graph.nodes[0] ?? node
  if (mesh !== genesis.record.mesh) return 'foreign_mesh'
  if (act.type === 'genesis') return node === genesis ? undefined : 'foreign_mesh'
  const held = everGranted(graph, node)
  if (!held) return 'unauthorised'
  switch (act.type) {
    case 'invite':
      return covers(held, ['admit', ...knownCapabilities(act.capabilities)])
    case 'recoveryKey':
    case 'setCapabilities':
      return covers(held, ['admin', ...knownCapabilities(act.capabilities)])
    case 'remove':
      return act.peer === author ? undefined : covers(held, ['admin'])
    case 'leaseConfig':
      return author === genesis.record.author ? undefined : 'unauthorised'
    case 'revokeInvite': {
      const invite = inviteBefore(graph, node, act.invite)
      if (!invite) return 'bad_invite'
      return invite.record.author === author ? undefined : covers(held, ['admin'])
    }
    case 'admit':
      return covers(held, ['admit', ...knownCapabilities(act.capabilities)]) ?? inviteRefusal(crypto, graph, node, act)
    case 'forcedVoterSet':
      return covers(held, ['admin'])
    case 'recover':
      return covers(held, keptBy(graph.find(toHex(act.recoveryKey)), act)) ?? recoveryRefusal(crypto, graph, node, act)
    case 'voterSet':
    case 'voterFault':
    case 'opaque':
      break
  }
  return undefined
}

function inviteRefusal(
  crypto: Crypto,
  graph: RecordGraph,
  node: GraphNode,
  act: Extract<KnownRecord, { type: 'admit' }>,
): RecordRefusal | undefined {
  const { author, mesh } = node.record
  const invite = inviteBefore(graph, node, act.invite)?.record
  if (invite?.act.type !== 'invite' || invite.author !== author || act.at > invite.act.expiresAt) return 'bad_invite'
  const { capabilities: promised, inviteKey } = invite.act
  if (!act.capabilities.every((name) => promised.includes(name))) return 'bad_invite'
  const proven = inviteProofBytes(crypto, { mesh, peer: act.peer, boxKey: act.boxKey, invite: act.invite })
  return crypto.verifyRaw(inviteKey, proven, act.proof) ? undefined : 'bad_signature'
}

function recoveryRefusal(
  crypto: Crypto,
  graph: RecordGraph,
  node: GraphNode,
  { recoveryKey, parents, proof }: Extract<KnownRecord, { type: 'recover' }>,
): RecordRefusal | undefined {
  const { author, mesh } = node.record
  const key = graph.find(toHex(recoveryKey))
  if (key?.record.act.type !== 'recoveryKey' || !isAncestor(key, node)) return 'bad_recovery'
  const { key: publicKey } = key.record.act
  const proven = recoveryProofBytes(crypto, { mesh, peer: author, recoveryKey, parents })
  return crypto.verifyRaw(publicKey, proven, proof) ? undefined : 'bad_signature'
}

function inviteBefore(graph: RecordGraph, node: GraphNode, id: Uint8Array): GraphNode | undefined {
  const invite = graph.find(toHex(id))
  return invite?.record.act.type === 'invite' && isAncestor(invite, node) ? invite : undefined
}

/** Everything the record's author was ever granted before, or undefined when nobody had admitted it. */
function everGranted(graph: RecordGraph, node: GraphNode): ReadonlySet<Capability> | undefined {
  const { author } = node.record
  const held = new Set<Capability>()
  let wasAdmitted = false
  for (const fact of graph.nodes) {
    const { act } = fact.record
    const isByOther = act.type === 'admit' || act.type === 'setCapabilities'
    const isByItself = act.type === 'genesis' || act.type === 'recover'
    const isAbout = isByOther ? act.peer === author : isByItself && fact.record.author === author
    if (!isAbout || !isAncestor(fact, node)) continue
    wasAdmitted ||= act.type === 'genesis' || act.type === 'admit'
    for (const name of grantOf(fact)) held.add(name)
  }
  return wasAdmitted ? held : undefined
}

const covers = (held: ReadonlySet<Capability>, needed: readonly Capability[]): RecordRefusal | undefined =>
  needed.every((name) => held.has(name)) ? undefined : 'unauthorised'
