import type { MeshId, PeerId } from '../../crdt/ids.ts'
import { Claim, type ClaimEnv, type ClaimEvent, type ClaimSpec } from '../../protocols/lease/claimant.ts'
import { voterSetOf, type VoterSet } from '../../protocols/lease/config.ts'
import type { Config, Deny, Grant, LeaseRequest, Position, Release, Resource } from '../../protocols/lease/messages.ts'
import { signAs, type Keys, type Unsigned } from '../../protocols/lease/signing.ts'
import { DEFAULT_TIMINGS, type Instant } from '../../protocols/lease/timings.ts'
import { Voter, type Decision } from '../../protocols/lease/voter.ts'
import { encodeRecord } from '../../protocols/lease/records.ts'
import { crypto, identity } from './identity.ts'

export const space = 'ab'.repeat(32) as MeshId
export const otherSpace = 'cd'.repeat(32) as MeshId
export const hex = (n: number): string => n.toString(16).padStart(32, '0')
export const keysOf = (n: number): Keys => ({ crypto, signer: identity(n) })
export const peer = (n: number): PeerId => identity(n).peer

export const path = (key: string, mode: Resource['mode'] = 'exact'): Resource => ({ kind: 'path', key, mode })
export const position = (author: number, seq: number): Position => ({
  doc: 'mesh' as Position['doc'],
  author: peer(author),
  seq,
})

/** The founder is identity 1; voters are identities 1 to `count`, with incarnations of the same numbers. */
export function configOf(count: number): Config {
  const voters = Array.from({ length: count }, (_, i) => ({ node: peer(i + 1), inc: hex(i + 1) }))
  return signAs(keysOf(1), 'config', { v: 1 as const, space, epoch: 1, voters, prev: null, by: peer(1) })
}

type RequestFields = Partial<Unsigned<LeaseRequest>> & { by?: number; n?: number }

/** A valid request of member `by` (21 unless told) for the path `a`, with whatever is given changed before signing. */
export function requestOf(
  { by = 21, n = 1, ...fields }: RequestFields = {},
  set = voterSetOf(crypto, configOf(1)),
): LeaseRequest {
  return signAs(keysOf(by), 'request', {
    v: 1 as const,
    space,
    epoch: 1,
    cid: set.cid,
    lid: hex(by),
    seq: 0,
    node: peer(by),
    owner: `boot/${by}`,
    info: { instanceId: `agent-${by}`, untilMs: 0 },
    res: [path('a')],
    token: { epoch: 1, n },
    ttl: 10_000,
    nonce: hex(0),
    seen: {},
    ...fields,
  })
}

export const releaseOf = (request: LeaseRequest, by: number, after?: Position): Release =>
  signAs(keysOf(by), 'release', {
    v: 1 as const,
    space,
    lid: request.lid,
    node: peer(by),
    token: request.token,
    ...(after && { after }),
  })

/** One voter whose every record is durable at once unless `syncs` is turned off. */
export class VoterLab {
  readonly journal: Uint8Array[]
  readonly number: number
  readonly set: VoterSet
  readonly removed = new Set<PeerId>()
  voter: Voter
  nowMs = 0

  constructor(number = 1, set = voterSetOf(crypto, configOf(1))) {
    this.number = number
    this.set = set
    this.journal = [encodeRecord({ t: 'init', v: 1, inc: hex(number) })]
    this.voter = this.#start()
  }

  ask(request: LeaseRequest): Decision['reply'] {
    const decision = this.decide(request)
    if (decision.reply && !this.voter.settle(decision.reply)) return undefined
    return decision.reply
  }

  /** The words of the answer: `grant`, the reason of a refusal, `prove`, or `silence`. */
  answer(request: LeaseRequest): string {
    const reply = this.ask(request)
    return reply?.is === 'deny' ? reply.body.why : (reply?.is ?? 'silence')
  }

  decide(request: LeaseRequest): Decision {
    return this.#keep(this.voter.decide(request, this.nowMs))
  }

  release(release: Release): Decision {
    return this.#keep(this.voter.release(release, this.nowMs))
  }

  accuse(grant: Grant): Decision {
    return this.#keep(this.voter.accuse(grant, this.nowMs))
  }

  sign(reply: Decision['reply']): Grant | Deny | undefined {
    const keys = keysOf(this.number)
    if (reply?.is === 'grant') return signAs(keys, 'grant', reply.body)
    return reply?.is === 'deny' ? signAs(keys, 'deny', reply.body) : undefined
  }

  grantOf(request: LeaseRequest): Grant {
    const signed = this.sign(this.ask(request))
    if (!signed || 'why' in signed) throw new Error(`not granted: ${signed?.why ?? 'silence'}`)
    return signed
  }

  restart(journal: readonly Uint8Array[] = this.journal): void {
    if (journal !== this.journal) this.journal.splice(0, this.journal.length, ...journal)
    this.voter = this.#start()
  }

  #start(): Voter {
    return new Voter(
      {
        keys: keysOf(this.number),
        voterSet: () => this.set,
        isMember: (node) => !this.removed.has(node),
        newIncarnation: () => hex(0xfe),
      },
      this.journal,
      this.nowMs,
    )
  }

  #keep(decision: Decision): Decision {
    this.journal.push(...decision.records)
    return decision
  }
}

/** Several voters and the claims of several members, with every message delivered by hand. */
export class Arena {
  readonly set: VoterSet
  readonly voters: VoterLab[]
  now: Instant = { monoMs: 1000, bootMs: 1000, wallMs: 1000 }
  #nonce = 1

  constructor(voters = 3) {
    this.set = voterSetOf(crypto, configOf(voters))
    this.voters = Array.from({ length: voters }, (_, i) => new VoterLab(i + 1, this.set))
    this.advance(0)
  }

  advance(ms: number): void {
    this.now = { monoMs: this.now.monoMs + ms, bootMs: this.now.bootMs + ms, wallMs: this.now.wallMs + ms }
    for (const voter of this.voters) voter.nowMs = this.now.monoMs
  }

  /** The claimants' hosts sleep; the voters do not, and their clocks go on. */
  suspend(ms: number): void {
    this.now = { monoMs: this.now.monoMs, bootMs: this.now.bootMs + ms, wallMs: this.now.wallMs + ms }
    for (const voter of this.voters) voter.nowMs += ms
  }

  claim(by: number, fields: Partial<ClaimSpec & { timings: ClaimEnv['timings'] }> = {}): Claim {
    const { timings = DEFAULT_TIMINGS, ...spec } = fields
    return new Claim(
      {
        keys: keysOf(by),
        voters: this.set,
        timings,
        nonce: () => hex(this.#nonce++),
        fraction: () => 0.5,
        seen: () => ({}),
        noteGrant: () => undefined,
      },
      {
        lid: hex(by),
        firstSeq: 0,
        owner: `boot/${by}`,
        info: { instanceId: `agent-${by}`, untilMs: 0 },
        res: [path('a')],
        token: { epoch: 1, n: 1 },
        ...spec,
      },
    )
  }

  /** Polls the claim, and brings what it sends to the voters (all of them unless told) and their answers back. */
  exchange(claim: Claim, voters: readonly number[] = this.voters.map((_, i) => i)): string[] {
    const events: (ClaimEvent | undefined)[] = []
    const { send, event } = claim.poll(this.now)
    events.push(event)
    for (const i of send ? voters : []) {
      const reply = this.reply(i, send!.request)
      if (reply) events.push(this.deliver(claim, reply))
    }
    return events.flatMap((one) => one?.is ?? [])
  }

  reply(voter: number, request: LeaseRequest): Grant | Deny | undefined {
    const lab = this.voters[voter]!
    return lab.sign(lab.ask(request))
  }

  deliver(claim: Claim, reply: Grant | Deny): ClaimEvent | undefined {
    return 'why' in reply ? claim.onDeny(reply, this.now) : claim.onGrant(reply, this.now)
  }

  release(claim: Claim, after?: Position): void {
    const release = claim.release(after)
    for (const voter of this.voters) voter.release(release)
  }
}
