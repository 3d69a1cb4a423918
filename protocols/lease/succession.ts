import { equalBytes } from '../codec.ts'
import { isBelow, type Accept, type Ballot, type Prepare, type Promised, type SealVote } from './ballot.ts'
import { compareSets, type Epoch } from './epochs.ts'
import { readConfig, type VoterSet } from './config.ts'
import { packEstate, type Estate } from './estate.ts'
import { encodeRecord, type VoterRecord } from './records.ts'
import { pack, type Packed, type Signed } from './signing.ts'
import { NOTHING, type Decision, type VoterDeps } from './decision.ts'
import { estateRecords, type VoterState } from './voter-state.ts'

/** A voter's part in deciding who votes next (L2.7): one decree of Paxos, in which accepting seals the epoch. */
export class Succession {
  readonly #deps: VoterDeps
  readonly #state: VoterState

  constructor(deps: VoterDeps, state: VoterState) {
    this.#deps = deps
    this.#state = state
  }

  get set(): VoterSet | undefined {
    return this.#state.set
  }

  /** Whether this epoch is sealed here: its successor may have been decided, or the proposer may have died. */
  get isSealed(): boolean {
    return this.#state.sealed !== undefined
  }

  prepare(prepare: Signed<Prepare>, nowMs: number): Decision {
    const place = this.#place(prepare)
    if (!place) return NOTHING
    const { ballot } = prepare.body
    const { promised, sealed } = this.#state
    if (promised && isBelow(ballot, promised)) return this.#outbid(place.set, promised)
    const vseq = this.#state.vseq + 1
    const records = this.#keep([{ t: 'prom', ballot, vseq }], nowMs)
    const body: Promised = {
      ...place.from,
      voter: this.#deps.signatures.self,
      inc: place.inc,
      ballot,
      ...(sealed && { accepted: { ballot: sealed.ballot, config: sealed.config } }),
      vseq,
    }
    const draft = this.#deps.signatures.draft('promise', body)
    return { ...NOTHING, records, mustSync: true, reply: { is: 'promise', inc: place.inc, draft } }
  }

  /** @throws MalformedError when the configuration cannot be read */
  accept(accept: Signed<Accept>, nowMs: number): Decision {
    const place = this.#place(accept)
    if (!place) return NOTHING
    const { ballot, config } = accept.body
    const { promised, sealed, waitUntilMs = nowMs } = this.#state
    if (promised && isBelow(ballot, promised)) return this.#outbid(place.set, promised)
    // It does not know the promises that it waits for: its successors would take what it leaves for all there is.
    if (!sealed && nowMs < waitUntilMs) return NOTHING
    const next = readConfig(this.#deps.signatures, config)
    // Whose set was accepted by some voters may be an admin no more by now: then another admin has to complete it.
    const isAdmins = this.#deps.isAdmin(next.config.body.by) || this.#deps.isAdmin(accept.body.node)
    return isAdmins && isSuccessor(next, place.set) ? this.#seal(place, { ballot, config, next }, nowMs) : NOTHING
  }

  /** A piece of what this voter left when it sealed its last epoch. */
  page(estate: Uint8Array, page: number): Uint8Array | undefined {
    const left = this.#state.estate
    return left && equalBytes(left.hash, estate) ? left.pages[page] : undefined
  }

  /** Whether the epoch is news, and what this voter has to know before it may grant in it. */
  needs({ set, origin }: Epoch): 'nothing' | 'estates' | 'time' | undefined {
    const { set: current, inc } = this.#state
    if (current && compareSets(set, current) <= 0) return undefined
    if (inc === undefined || set.incarnations.get(this.#deps.signatures.self) !== inc) return 'nothing'
    return origin.is === 'founded' ? 'nothing' : origin.is === 'forced' ? 'time' : 'estates'
  }

  /**
   * Enters an epoch with the estates of a quorum of the voters before (or none, after which it waits until their promises
   * have ended): from then on this voter answers for it, if it is in its set.
   */
  adopt(epoch: Epoch, estates: readonly Estate[] | 'time', nowMs: number): Decision {
    const needs = this.needs(epoch)
    if (needs === undefined) return NOTHING
    const { config } = epoch.set
    const waits = needs !== 'nothing' && estates === 'time'
    const records: VoterRecord[] = [...this.#expired(nowMs), { t: 'epoch', config: pack(config), waits }]
    if (estates !== 'time') {
      for (const { grants } of estates) for (const grant of grants) records.push({ t: 'import', grant })
      const after = estates.flatMap((estate) => estate.after)
      const { vseq } = this.#state
      const token = { epoch: epoch.set.epoch, n: 0 }
      records.push({ t: 'floor', vseq, token, after: after.slice(0, FLOOR_POSITIONS_MAX) })
    }
    return { ...NOTHING, records: this.#keep(records, nowMs), mustSync: true }
  }

  #place({ body, ...signed }: Signed<Prepare> | Signed<Accept>): Place | undefined {
    const { set, inc } = this.#state
    const { signatures, isAdmin } = this.#deps
    if (!set || inc === undefined || set.incarnations.get(signatures.self) !== inc) return undefined
    if (body.space !== set.config.body.space || body.epoch !== set.epoch || !equalBytes(body.cid, set.cid))
      return undefined
    // Voters of the epoch finish what a proposer that died has begun.
    if (!isAdmin(body.node) && !set.incarnations.has(body.node)) return undefined
    if (!signatures.isSignedBy(body.node, { body, ...signed })) return undefined
    const { v, space, epoch, cid } = body
    return { set, inc, from: { v, space, epoch, cid } }
  }

  #seal(place: Place, accepted: { ballot: Ballot; config: Packed; next: VoterSet }, nowMs: number): Decision {
    const { ballot, config, next } = accepted
    const vseq = this.#state.vseq + 1
    const expired = this.#expired(nowMs)
    for (const record of expired) this.#state.apply(record, nowMs)
    // What was left when the epoch was first sealed is still what it was: nothing has been granted since.
    const left = this.#state.sealed && this.#state.estate
    // Grants that are not on disk yet are in it too: they may be by the time anybody asks.
    const estate =
      left ?? packEstate(this.#deps.sha256, { grants: this.#state.liveGrants(), after: this.#state.lastWrites() })
    const records: VoterRecord[] = [...(left ? [] : estateRecords(estate)), { t: 'seal', ballot, config, vseq }]
    const body: SealVote = {
      ...place.from,
      voter: this.#deps.signatures.self,
      inc: place.inc,
      ballot,
      next: next.cid,
      estate: estate.hash,
      pages: estate.pages.length,
      vseq,
    }
    const draft = this.#deps.signatures.draft('seal', body)
    return {
      ...NOTHING,
      records: [...expired.map(encodeRecord), ...this.#keep(records, nowMs)],
      mustSync: true,
      reply: { is: 'seal', inc: place.inc, draft },
    }
  }

  /** Promises that have ended and that nobody has asked about since: the next epoch would begin them anew. */
  #expired(nowMs: number): VoterRecord[] {
    return this.#state.expired(nowMs).map(({ node, lid }): VoterRecord => ({ t: 'exp', node, lid }))
  }

  #outbid({ epoch }: VoterSet, promised: Ballot): Decision {
    return { ...NOTHING, reply: { is: 'outbid', body: { epoch, ballot: promised } } }
  }

  #keep(records: readonly VoterRecord[], nowMs: number): Uint8Array[] {
    for (const record of records) this.#state.apply(record, nowMs)
    return records.map(encodeRecord)
  }
}

type Place = {
  readonly set: VoterSet
  readonly inc: string
  readonly from: Pick<Promised, 'v' | 'space' | 'epoch' | 'cid'>
}

/** As many as a floor record may carry. */
const FLOOR_POSITIONS_MAX = 1024

function isSuccessor({ config }: VoterSet, current: VoterSet): boolean {
  const { space, epoch, prev } = config.body
  const isNext = space === current.config.body.space && epoch === current.epoch + 1
  return isNext && prev !== null && equalBytes(prev, current.cid)
}
