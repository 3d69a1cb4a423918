import type { MeshId, PeerId } from '../../crdt/ids.ts'
import { Claim, type ClaimEnv, type ClaimEvent, type ClaimSpec, type Refused } from '../../protocols/lease/claimant.ts'
import { voterSetOf, type VoterSet } from '../../protocols/lease/config.ts'
import type { Decision } from '../../protocols/lease/decision.ts'
import type { Epoch } from '../../protocols/lease/epochs.ts'
import type { Estate } from '../../protocols/lease/estate.ts'
import type { Config, Grant, LeaseRequest, Position, Release, Resource } from '../../protocols/lease/messages.ts'
import { Signatures, type Keys, type Draft, type LeaseKind, type Signed } from '../../protocols/lease/signing.ts'
import { DEFAULT_TIMINGS, type Instant } from '../../protocols/lease/timings.ts'
import { Voter } from '../../protocols/lease/voter.ts'
import { encodeRecord } from '../../protocols/lease/records.ts'
import { crypto, identity } from './identity.ts'

export const space = 'ab'.repeat(32) as MeshId
export const otherSpace = 'cd'.repeat(32) as MeshId
export const hex = (n: number): string => n.toString(16).padStart(32, '0')
export const keysOf = (n: number): Keys => ({ crypto, signer: identity(n) })
export const signaturesOf = (n: number): Signatures => new Signatures(keysOf(n))
export const signedBy = <T extends object>(n: number, kind: LeaseKind, body: T): Signed<T> =>
  signaturesOf(n).sign(kind, body)
export const peer = (n: number): PeerId => identity(n).peer

export const path = (key: string, mode: Resource['mode'] = 'exact'): Resource => ({ kind: 'path', key, mode })
export const position = (author: number, seq: number): Position => ({
  doc: 'mesh' as Position['doc'],
  author: peer(author),
  seq,
})

/** The founder is identity 1; voters are identities 1 to `count`, with incarnations of the same numbers. */
export function configOf(count: number, fields: Partial<Config> = {}): Signed<Config> {
  const voters = Array.from({ length: count }, (_, i) => ({ node: peer(i + 1), inc: hex(i + 1) }))
  const config: Config = { v: 1, space, epoch: 1, voters, prev: null, by: peer(1), ...fields }
  return signedBy(1, 'config', config)
}

export const founded = (set: VoterSet): Epoch => ({ set, origin: { is: 'founded' } })

type RequestFields = Partial<LeaseRequest> & { by?: number; n?: number }

/** A valid request of member `by` (21 unless told) for the path `a`, with whatever is given changed before signing. */
export function requestOf(
  { by = 21, n = 1, ...fields }: RequestFields = {},
  set = voterSetOf(configOf(1)),
): Signed<LeaseRequest> {
  return signedBy<LeaseRequest>(by, 'request', {
    v: 1,
    space,
    epoch: set.epoch,
    cid: set.cid,
    lid: hex(by),
    seq: 0,
    node: peer(by),
    owner: `boot/${by}`,
    info: { instanceId: `agent-${by}`, untilMs: 0 },
    res: [path('a')],
    token: { epoch: set.epoch, n },
    ttl: 10_000,
    nonce: hex(0),
    seen: {},
    ...fields,
  })
}

/** A release and the node whose channel it comes through. */
export const releaseOf = ({ body }: { body: LeaseRequest }, by: number, after?: Position): SentRelease => ({
  from: peer(by),
  lid: body.lid,
  ...(after && { after }),
})
type SentRelease = Release & { readonly from: PeerId }

/** One voter whose every record is durable at once unless `syncs` is turned off. */
export class VoterLab {
  readonly journal: Uint8Array[]
  readonly number: number
  readonly set: VoterSet
  readonly removed = new Set<PeerId>()
  voter: Voter
  nowMs = 0

  readonly admins = new Set<PeerId>([peer(1)])

  constructor(number = 1, set = voterSetOf(configOf(1))) {
    this.number = number
    this.set = set
    this.journal = [encodeRecord({ t: 'init', v: 1, inc: hex(number) })]
    this.voter = this.start()
    this.adopt(founded(set), [])
  }

  adopt(epoch: Epoch, estates: readonly Estate[] | 'time'): Decision {
    return this.keep(this.voter.succession.adopt(epoch, estates, this.nowMs))
  }

  ask(request: Signed<LeaseRequest>, from = request.body.node): Decision['reply'] {
    const decision = this.decide(request, from)
    if (decision.reply && !this.voter.settle(decision.reply)) return undefined
    return decision.reply
  }

  /** The words of the answer: `grant`, the reason of a refusal, `prove`, or `silence`. */
  answer(request: Signed<LeaseRequest>, from = request.body.node): string {
    const reply = this.ask(request, from)
    return reply?.is === 'deny' ? reply.body.why : (reply?.is ?? 'silence')
  }

  decide(request: Signed<LeaseRequest>, from = request.body.node): Decision {
    return this.keep(this.voter.decide(from, request, this.nowMs))
  }

  release({ from, ...release }: SentRelease): Decision {
    return this.keep(this.voter.release(from, release, this.nowMs))
  }

  accuse(grant: Signed<Grant>): Decision {
    return this.keep(this.voter.accuse(grant, this.nowMs))
  }

  sign(reply: Decision['reply']): Ballot | undefined {
    if (reply?.is === 'deny') return { ...reply.body, voter: peer(this.number) }
    if (reply?.is !== 'grant') return undefined
    const [seal] = signaturesOf(this.number).seal([reply.draft])
    return { ...reply.draft, seal: seal! }
  }

  grantOf(request: Signed<LeaseRequest>): Signed<Grant> {
    const signed = this.sign(this.ask(request))
    if (!signed || isRefused(signed)) throw new Error(`not granted: ${signed?.why ?? 'silence'}`)
    return signed
  }

  restart(journal: readonly Uint8Array[] = this.journal): void {
    if (journal !== this.journal) this.journal.splice(0, this.journal.length, ...journal)
    this.voter = this.start()
  }

  protected start(): Voter {
    return new Voter(
      {
        signatures: signaturesOf(this.number),
        sha256: (data) => crypto.sha256(data),
        isMember: (node) => !this.removed.has(node),
        isAdmin: (node) => this.admins.has(node),
        newIncarnation: () => hex(0xfe),
      },
      this.journal,
      this.nowMs,
    )
  }

  keep(decision: Decision): Decision {
    this.journal.push(...decision.records)
    return decision
  }
}

/** What a voter says to a request, or a refusal and the voter whose channel it comes through. */
export type Ballot = Signed<Grant> | Refused

export const isRefused = (ballot: Ballot): ballot is Refused => 'why' in ballot

/** Several voters and the claims of several members, with every message delivered by hand. */
export class Arena {
  readonly set: VoterSet
  /** What claimants take for the current set. */
  current: VoterSet
  nextToken = 1
  readonly voters: VoterLab[]
  now: Instant = { monoMs: 1000, bootMs: 1000, wallMs: 1000 }
  readonly #members = new Map<Claim, number>()
  #nonce = 1

  constructor(voters = 3) {
    this.set = voterSetOf(configOf(voters))
    this.current = this.set
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

  claim(by: number, fields: Partial<ClaimSpec & Pick<ClaimEnv, 'timings' | 'isExcluded' | 'noteGrant'>> = {}): Claim {
    const { timings = DEFAULT_TIMINGS, isExcluded = () => false, noteGrant = () => undefined, ...spec } = fields
    const signatures = signaturesOf(by)
    const claim = new Claim(
      {
        signatures,
        voters: () => this.current,
        isExcluded,
        nextToken: () => this.nextToken,
        signed: (request) => ({ ...request, seal: signatures.seal([request])[0]! }),
        timings,
        nonce: () => hex(this.#nonce++),
        fraction: () => 0.5,
        seen: () => ({}),
        noteGrant,
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
    this.#members.set(claim, by)
    return claim
  }

  /** Polls the claim, and brings what it sends to the voters (all of them unless told) and their answers back. */
  exchange(claim: Claim, voters: readonly number[] = this.voters.map((_, i) => i)): string[] {
    const events: (ClaimEvent | undefined)[] = []
    const { send, event } = claim.poll(this.now)
    events.push(event)
    for (const i of send ? voters : []) {
      const reply = this.reply(i, this.signed(send!.request))
      if (reply) events.push(this.deliver(claim, reply))
    }
    return events.flatMap((one) => one?.is ?? [])
  }

  signed(request: Draft<LeaseRequest>): Signed<LeaseRequest> {
    const by = Array.from({ length: 64 }, (_, n) => n).find((n) => peer(n) === request.body.node)!
    return { ...request, seal: signaturesOf(by).seal([request])[0]! }
  }

  reply(voter: number, request: Signed<LeaseRequest>): Ballot | undefined {
    const lab = this.voters[voter]!
    return lab.sign(lab.ask(request))
  }

  /** @throws Error when it is refused */
  grantOf(voter: number, request: Draft<LeaseRequest>): Signed<Grant> {
    return this.voters[voter]!.grantOf(this.signed(request))
  }

  deliver(claim: Claim, ballot: Ballot): ClaimEvent | undefined {
    if (!isRefused(ballot)) return claim.onGrant(ballot, this.now)
    const { voter, ...deny } = ballot
    return claim.onDeny(voter, deny, this.now)
  }

  release(claim: Claim): void {
    const { release } = claim.release()
    const from = peer(this.#members.get(claim)!)
    for (const voter of this.voters) voter.release({ ...release, from })
  }
}
