import type { Capability } from '../../../../crdt/capability.ts'
import type { PeerId } from '../../../../crdt/ids.ts'
import {
  type Draft,
  inviteProofBytes,
  recoveryProofBytes,
  type LogRecord,
  sealRecord,
  sortedCapabilities,
} from '../../../../protocols/membership/records.ts'
import { createFounderConfig } from '../../../../protocols/lease/config.ts'
import { resolveRecords, type Resolution } from '../../../../protocols/membership/resolver.ts'
import { crypto, identity } from '../../../support/identity.ts'

export const ALL = ['admin', 'admit', 'gateway', 'control', 'run', 'vote', 'store'] as const
export const peer = (n: number): PeerId => identity(n).peer
export const bytesOf = (n: number, length = 32): Uint8Array<ArrayBuffer> => new Uint8Array(length).fill(n)

const START_MS = 1_800_000_000_000

type Admitted = { readonly who: number; readonly capabilities?: string[] }

/** What a recovery may get wrong. */
export type Recovering = {
  readonly words?: number
  readonly capabilities?: readonly string[]
  readonly proof?: Uint8Array
}

/** Writes records with real keys. Member 0 is the founder; `parents` says what the author knew. */
export type History = {
  readonly genesis: LogRecord
  readonly records: LogRecord[]
  say(author: number, parents: readonly LogRecord[], draft: Draft): LogRecord
  invite(author: number, parents: readonly LogRecord[], capabilities: readonly Capability[]): LogRecord
  admit(author: number, parents: readonly LogRecord[], invite: LogRecord, who: number | Admitted): LogRecord
  /** Invite and admission in one go. */
  join(author: number, parents: readonly LogRecord[], who: number, capabilities: readonly Capability[]): LogRecord
  grant(author: number, parents: readonly LogRecord[], who: number, capabilities: readonly Capability[]): LogRecord
  remove(author: number, parents: readonly LogRecord[], who: number, cut?: number): LogRecord
  revoke(author: number, parents: readonly LogRecord[], invite: LogRecord): LogRecord
  /** Publishes the key of `words`, a number that stands for them. */
  recoveryKey(author: number, parents: readonly LogRecord[], words: number, capabilities?: readonly string[]): LogRecord
  /** Uses the words of a recovery key. */
  recover(author: number, parents: readonly LogRecord[], key: LogRecord, how?: Recovering): LogRecord
  /** Writes a voter set down: opaque bytes here. */
  seal(author: number, parents: readonly LogRecord[], cert: number): LogRecord
  force(author: number, parents: readonly LogRecord[], config: number): LogRecord
}

export function createHistory(founder = 0): History {
  const genesis = sealRecord(
    crypto,
    identity(founder),
    { mesh: undefined, parents: [], atMs: START_MS },
    { type: 'genesis', name: 'founder', boxKey: bytesOf(1), nonce: bytesOf(9) },
  )
  const records = [genesis]
  let invites = 1000
  const keys = new Map<string, ReturnType<typeof identity>>()
  const say: History['say'] = (author, parents, draft) => {
    const place = { mesh: genesis.mesh, parents: parentIds(parents), atMs: START_MS }
    const record = sealRecord(crypto, identity(author), place, draft)
    records.push(record)
    return record
  }
  const history: History = {
    genesis,
    records,
    say,
    invite(author, parents, capabilities) {
      const key = identity(invites++)
      const record = say(author, parents, {
        type: 'invite',
        inviteKey: new Uint8Array(key.publicKey),
        capabilities: sortedCapabilities(capabilities),
        expiresAt: START_MS + 1000,
      })
      keys.set(record.key, key)
      return record
    },
    admit(author, parents, invite, admitted) {
      const { who, capabilities } = typeof admitted === 'number' ? { who: admitted } : admitted
      const claim = { mesh: genesis.mesh, peer: peer(who), boxKey: bytesOf(who), invite: invite.id.slice() }
      const key = keys.get(invite.key)!
      return say(author, parents, {
        type: 'admit',
        peer: claim.peer,
        name: `m${who}`,
        boxKey: claim.boxKey,
        capabilities: sortedCapabilities(capabilities ?? (invite.act as { capabilities: string[] }).capabilities),
        invite: claim.invite,
        proof: key.sign(inviteProofBytes(crypto, claim)).slice(),
      })
    },
    join(author, parents, who, capabilities) {
      const invite = history.invite(author, parents, capabilities)
      return history.admit(author, [invite], invite, who)
    },
    grant: (author, parents, who, capabilities) =>
      say(author, parents, {
        type: 'setCapabilities',
        peer: peer(who),
        capabilities: sortedCapabilities(capabilities),
      }),
    remove: (author, parents, who, cut) =>
      say(author, parents, {
        type: 'remove',
        peer: peer(who),
        cuts: cut === undefined ? {} : { mesh: { seq: cut, hash: bytesOf(cut) } },
      } as Extract<Draft, { type: 'remove' }>),
    revoke: (author, parents, invite) => say(author, parents, { type: 'revokeInvite', invite: invite.id.slice() }),
    recoveryKey: (author, parents, words, capabilities = ALL) => {
      const key = new Uint8Array(identity(words).publicKey)
      const record = say(author, parents, { type: 'recoveryKey', key, capabilities: sortedCapabilities(capabilities) })
      keys.set(record.key, identity(words))
      return record
    },
    recover: (author, parents, key, how = {}) => {
      const given = key.act.type === 'recoveryKey' ? key.act.capabilities : []
      const signer = how.words === undefined ? keys.get(key.key)! : identity(how.words)
      const claim = { mesh: genesis.mesh, peer: peer(author), recoveryKey: key.id, parents: parentIds(parents) }
      return say(author, parents, {
        type: 'recover',
        recoveryKey: key.id.slice(),
        capabilities: sortedCapabilities(how.capabilities ?? given),
        proof: how.proof?.slice() ?? signer.sign(recoveryProofBytes(crypto, claim)).slice(),
      })
    },
    seal: (author, parents, cert) => say(author, parents, { type: 'voterSet', cert: bytesOf(cert) }),
    force: (author, parents, config) =>
      say(author, parents, { type: 'forcedVoterSet', config: bytesOf(config), reason: 'a voter is gone' }),
  }
  return history
}

/** Two acts alike are one record, and a record names each parent once. */
function parentIds(parents: readonly LogRecord[]): Uint8Array[] {
  const distinct = [...new Map(parents.map((parent) => [parent.key, parent.id])).values()]
  return distinct.toSorted((a, b) => Buffer.compare(a, b))
}

export const firstConfig = (
  history: History,
  founder: number,
  inc: string,
): Extract<Draft, { type: 'leaseConfig' }> => {
  return {
    type: 'leaseConfig',
    config: createFounderConfig({ crypto, signer: identity(founder), space: history.genesis.mesh, inc }),
  }
}

export const settle = (records: Iterable<LogRecord>): Resolution => resolveRecords(crypto, records)

/** Members as `n: capabilities`, by their number. */
export function membersIn(resolution: Resolution, count = 12): Record<number, string> {
  const entries = Array.from({ length: count }, (_, n) => [n, resolution.membership.members.get(peer(n))] as const)
  return Object.fromEntries(entries.flatMap(([n, m]) => (m ? [[n, [...m.capabilities].toSorted().join(' ')]] : [])))
}

/** Everything that must be the same on every replica, as plain values. */
export function stateOf({ membership, effective }: Resolution): unknown {
  return {
    ...membership,
    members: [...membership.members]
      .map(([id, m]) => [id, { ...m, boxKey: [...m.boxKey], capabilities: [...m.capabilities].toSorted() }] as const)
      .toSorted(([a], [b]) => (a < b ? -1 : 1)),
    removed: [...membership.removed]
      .map(([id, cuts]) => [id, [...cuts].map(([doc, cut]) => [doc, cut.seq, [...cut.hash]])] as const)
      .toSorted(([a], [b]) => (a < b ? -1 : 1)),
    invites: [...membership.invites.keys()].toSorted(),
    leaseConfig: membership.leaseConfig && [...membership.leaseConfig],
    recoveryKeys: membership.recoveryKeys.map((key) => ({ ...key, publicKey: [...key.publicKey] })),
    voterSets: membership.voterSets.map((set) => ({ ...set, bytes: [...set.bytes] })),
    heads: membership.heads.map((head) => Buffer.from(head).toString('hex')),
    effective: [...effective].toSorted(),
  }
}
