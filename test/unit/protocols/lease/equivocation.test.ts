import { describe, expect, it } from 'vitest'
import { randomFraction } from '../../../../node/ports/random.ts'
import { encodeCanonical } from '../../../../protocols/codec.ts'
import { voterSetOf } from '../../../../protocols/lease/config.ts'
import { EquivocationWatch, FAULT_BYTES_MAX, readFault } from '../../../../protocols/lease/equivocation.ts'
import type { Grant, LeaseRequest } from '../../../../protocols/lease/messages.ts'
import { pack, type Signed } from '../../../../protocols/lease/signing.ts'
import { createSeededRandom } from '../../../support/identity.ts'
import {
  configOf,
  hex,
  otherSpace,
  path,
  peer,
  isRefused,
  releaseOf,
  requestOf,
  signaturesOf,
  signedBy,
  VoterLab,
} from '../../../support/lease-lab.ts'
import { sealedEpoch, successorOf } from '../../../support/succession-lab.ts'

type Pair = { readonly req: Signed<LeaseRequest>; readonly grant: Signed<Grant> }

const set = voterSetOf(configOf(1))

/** What voter 1 would sign if it liked, for a request of member `by`. */
function pairOf(fields: Parameters<typeof requestOf>[0] = {}, change: Partial<Grant> = {}, signer = 1): Pair {
  const req = requestOf(fields, set)
  const { space, epoch, lid, seq, token, ttl } = req.body
  const names = { voter: peer(signer), inc: hex(signer), reqHash: req.hash }
  const grant = { v: 1 as const, space, epoch, lid, seq, token, ttl, ...names, vseq: 1, first: 1, after: [], ...change }
  return { req, grant: signedBy(signer, 'grant', grant) }
}

const faultIn = (...pairs: Pair[]) => {
  const watch = new EquivocationWatch()
  return pairs.map((pair) => watch.note(pair)).at(-1)
}
const one = pairOf({}, { vseq: 4, first: 2 })

describe('[L2.12] a voter that contradicts itself is convicted', () => {
  it.each<[string, Pair]>([
    ['another owner’s lease while the first ran', pairOf({ by: 22 }, { vseq: 3, first: 3 })],
    ['another owner’s lease since before the first', pairOf({ by: 22 }, { vseq: 9, first: 1 })],
    ['another owner’s lease that began when the first was last renewed', pairOf({ by: 22 }, { vseq: 6, first: 4 })],
    ['what lies below', pairOf({ by: 22, res: [path('', 'subtree')] }, { vseq: 3, first: 3 })],
    ['another owner on the same node', pairOf({ lid: hex(9), owner: 'boot/other' }, { vseq: 3, first: 3 })],
    ['one number twice', pairOf({ seq: 1 }, { vseq: 4, first: 2 })],
    ['one lease with two beginnings', pairOf({ seq: 1 }, { vseq: 5, first: 3 })],
  ])('%s', (_what, two) => {
    const fault = faultIn(one, two)
    expect(fault).toMatchObject({ voter: peer(1), inc: hex(1) })
    expect(readFault(signaturesOf(40), fault!.bytes)).toEqual(fault)
    expect(faultIn(two, one)).toMatchObject({ voter: peer(1), inc: hex(1) })
  })

  it.each<[string, Pair]>([
    ['the same grant again', one],
    ['a renewal', pairOf({ seq: 1 }, { vseq: 5, first: 2 })],
    ['another owner’s lease afterwards', pairOf({ by: 22, n: 2 }, { vseq: 5, first: 5 })],
    ['another owner’s lease before', pairOf({ by: 22 }, { vseq: 1, first: 1 })],
    ['another lease of the same owner', pairOf({ lid: hex(9) }, { vseq: 3, first: 3 })],
    ['a lease elsewhere', pairOf({ by: 22, res: [path('b')] }, { vseq: 3, first: 3 })],
    ['a later incarnation', pairOf({ by: 22 }, { vseq: 3, first: 3, inc: hex(9) })],
    ['another voter', pairOf({ by: 22 }, { vseq: 3, first: 3 }, 2)],
    ['another voter that calls its incarnation the same', pairOf({ by: 22 }, { vseq: 3, first: 3, inc: hex(1) }, 2)],
    ['another epoch', pairOf({ by: 22 }, { vseq: 3, first: 3, epoch: 2 })],
    ['another mesh', pairOf({ by: 22 }, { vseq: 3, first: 3, space: otherSpace })],
  ])('but not for %s', (_what, two) => {
    expect([faultIn(one, two), faultIn(two, one)]).toEqual([undefined, undefined])
  })

  it('a later grant of a lease says all that the earlier ones said, in whatever order they come', () => {
    const late = pairOf({ seq: 3 }, { vseq: 9, first: 2 })
    const rival = pairOf({ by: 22 }, { vseq: 7, first: 6 })
    expect(faultIn(late, one, rival)).toMatchObject({ voter: peer(1) })
    expect(faultIn(one, late, rival)).toMatchObject({ voter: peer(1) })
  })

  it('what is too large to be passed on is kept to oneself', () => {
    const res = Array.from({ length: 40 }, (_, i) => path(`${String(i).padStart(3, '0')}${'x'.repeat(1000)}`))
    const [a, b] = [pairOf({ res }, { vseq: 4, first: 2 }), pairOf({ by: 22, res }, { vseq: 3, first: 3 })]
    expect(a.req.bytes.byteLength + b.req.bytes.byteLength).toBeGreaterThan(FAULT_BYTES_MAX)
    expect(faultIn(a, b)).toBeUndefined()
  })

  it('remembers the latest grants, and no more of them than fit into some megabytes', () => {
    const at = (n: number): Pair['req']['body']['res'] =>
      Array.from({ length: 20 }, (_, i) => path(`${n}/${i}/${'x'.repeat(900)}`))
    const watch = new EquivocationWatch()
    const grants = Array.from(
      { length: 600 },
      (_, n) =>
        [
          { lid: hex(n), res: at(n) },
          { vseq: n, first: n },
        ] as const,
    )
    for (const [req, grant] of grants) watch.note(pairOf(req, grant))
    const rivalOf = (n: number): Pair => pairOf({ by: 22, res: at(n) }, { vseq: 1000 + n, first: n })
    expect([599, 300, 0].map((n) => watch.note(rivalOf(n)) !== undefined)).toEqual([true, true, false])
  })
})

describe('[L2.12] a proof', () => {
  const rival = pairOf({ by: 22 }, { vseq: 3, first: 3 })
  const bytesOf = (a: Pair, b: Pair): Uint8Array =>
    encodeCanonical({ a: { req: a.req.bytes, grant: pack(a.grant) }, b: { req: b.req.bytes, grant: pack(b.grant) } })
  const convicts = (bytes: Uint8Array): boolean => readFault(signaturesOf(40), bytes) !== undefined

  it('proves itself to anybody', () => {
    expect(convicts(bytesOf(one, rival))).toBe(true)
  })

  it.each<[string, Uint8Array]>([
    ['two grants that agree', bytesOf(one, pairOf({ by: 22, n: 2 }, { vseq: 5, first: 5 }))],
    ['two leases that do not overlap', bytesOf(one, pairOf({ by: 22, res: [path('b')] }, { vseq: 3, first: 3 }))],
    ['one grant', bytesOf(one, one)],
    ['a grant that the voter did not sign', bytesOf(one, { ...rival, grant: signedBy(2, 'grant', rival.grant.body) })],
    ['a statement of another kind', bytesOf(one, { ...rival, grant: signedBy(1, 'promise', rival.grant.body) })],
    ['a request that was not granted', bytesOf(one, { ...rival, req: requestOf({ by: 22, seq: 8 }, set) })],
    [
      'a request over something else',
      bytesOf(one, { ...pairOf({ by: 22, res: [path('b')] }, { vseq: 3, first: 3 }), req: rival.req }),
    ],
    ['more than a proof', encodeCanonical({ a: 1 })],
    ['garbage', Uint8Array.of(0x83, 1)],
    ['nothing', new Uint8Array()],
    ['too much', new Uint8Array(FAULT_BYTES_MAX + 1)],
  ])('is not %s', (_what, bytes) => {
    expect(convicts(bytes)).toBe(false)
  })
})

/** Everything an honest voter signed while members asked, renewed, gave up and slept, and while it crashed and was replaced. */
class HonestHistory {
  readonly pairs: Pair[] = []
  readonly counts = { granted: 0, released: 0, crashes: 0, epochs: 0 }
  readonly #draw: (below: number) => number
  readonly #lab = new VoterLab()
  #set = set
  #durable = 0
  readonly #latest = new Map<string, LeaseRequest>()
  #lids = 1

  constructor(seed: number) {
    const random = createSeededRandom(seed)
    this.#draw = (below) => Math.floor(randomFraction(random) * below)
    for (let i = 0; i < 150; i++) this.#step()
  }

  #step(): void {
    const dice = this.#draw(20)
    if (dice < 7) this.#ask()
    else if (dice < 13) this.#renew()
    else if (dice < 15) this.#release()
    else if (dice < 18) this.#lab.nowMs += this.#draw(6000)
    else if (dice < 19) this.#crash()
    else if (this.#draw(4) === 0) this.#change()
  }

  #send(request: Signed<LeaseRequest>): void {
    const signed = this.#lab.sign(this.#lab.ask(request))
    if (!signed || isRefused(signed)) return
    this.#durable = this.#lab.journal.length // nothing leaves before it is
    this.#latest.set(request.body.lid, request.body)
    this.pairs.push({ req: request, grant: signed })
    this.counts.granted += 1
  }

  #ask(): void {
    const by = 21 + this.#draw(3)
    const key = ['a', 'a/b', 'c'][this.#draw(3)]!
    const n = this.#lids++
    this.#send(requestOf({ by, lid: hex(n), n: this.#draw(n + 3), ttl: 5000, res: [path(key, 'subtree')] }, this.#set))
  }

  #renew(): void {
    const all = [...this.#latest.values()]
    const old = all[this.#draw(all.length)]
    if (!old) return
    const { epoch, cid } = this.#set
    const token = old.token.epoch === epoch ? old.token : { epoch, n: 1 + this.#draw(this.#lids) }
    const by = [21, 22, 23].find((n) => peer(n) === old.node)!
    const isCopy = this.#draw(4) === 0
    this.#send(
      signedBy(
        by,
        'request',
        isCopy ? old : { ...old, epoch, cid, token, seq: old.seq + 1, nonce: hex(this.#draw(9)) },
      ),
    )
  }

  #release(): void {
    const all = [...this.#latest.values()]
    const body = all[this.#draw(all.length)]
    if (!body) return
    const by = [21, 22, 23].find((n) => peer(n) === body.node)!
    this.#lab.release(releaseOf({ body }, by))
    this.counts.released += 1
  }

  #crash(): void {
    const { journal, voter } = this.#lab
    if (this.#draw(3) === 0) this.#lab.restart(voter.snapshot())
    else this.#lab.restart(journal.slice(0, this.#durable + this.#draw(1 + journal.length - this.#durable)))
    this.#durable = this.#lab.journal.length
    this.counts.crashes += 1
  }

  #change(): void {
    const next = successorOf(this.#set, [1])
    this.#set = voterSetOf(next)
    this.#lab.adopt(sealedEpoch(next), [])
    this.#durable = this.#lab.journal.length
    this.counts.epochs += 1
  }
}

describe('[L2.12] an honest voter', () => {
  it('is never convicted, whatever happens to it and in whatever order its grants are seen', () => {
    const histories = Array.from({ length: 60 }, (_, seed) => new HonestHistory(seed))
    for (const [seed, { pairs }] of histories.entries()) {
      const random = createSeededRandom(seed)
      const shuffled = pairs.map((pair) => ({ pair, at: randomFraction(random) })).toSorted((a, b) => a.at - b.at)
      for (const order of [pairs, pairs.toReversed(), shuffled.map(({ pair }) => pair)]) {
        const watch = new EquivocationWatch()
        expect(order.flatMap((pair) => watch.note(pair) ?? [])).toEqual([])
      }
    }
    const sum = (of: (counts: HonestHistory['counts']) => number) =>
      histories.reduce((n, { counts }) => n + of(counts), 0)
    expect(sum(({ granted }) => granted)).toBeGreaterThan(20 * histories.length)
    expect(sum(({ released }) => released)).toBeGreaterThan(histories.length)
    expect(sum(({ crashes }) => crashes)).toBeGreaterThan(histories.length)
    expect(sum(({ epochs }) => epochs)).toBeGreaterThan(histories.length / 2)
  })
})
