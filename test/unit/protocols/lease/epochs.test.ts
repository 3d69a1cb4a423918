import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { encodeCanonical, toHex } from '../../../../protocols/codec.ts'
import type { SealVote } from '../../../../protocols/lease/ballot.ts'
import { verifyCertificate } from '../../../../protocols/lease/certificate.ts'
import { voterSetOf } from '../../../../protocols/lease/config.ts'
import {
  forcedEpochAfter,
  SEAL_CERTIFICATE_BYTES_MAX,
  type VoterSetRecord,
} from '../../../../protocols/lease/epochs.ts'
import type { Config } from '../../../../protocols/lease/messages.ts'
import { pack, type Signed } from '../../../../protocols/lease/signing.ts'
import {
  configOf,
  hex,
  otherSpace,
  peer,
  requestOf,
  signaturesOf,
  signedBy,
  VoterLab,
} from '../../../support/lease-lab.ts'
import {
  ballotOf,
  chainOf,
  forcedBy,
  sealCertificate,
  sealedBy,
  sealOf,
  successorOf,
  votersOf,
} from '../../../support/succession-lab.ts'

const first = voterSetOf(configOf(3))
const second = successorOf(first, [2, 3, 4])
const secondSet = voterSetOf(second)
const third = successorOf(secondSet, [4])
const sealedSecond = sealedBy(first, second, [1, 2])
const sealedThird = sealedBy(secondSet, third, [3, 4])

/** Of the current set: its epoch, and the hash of its configuration. */
const currentOf = (records: readonly VoterSetRecord[]): [number, string] | undefined => {
  const set = chainOf(records)?.current.set
  return set && [set.epoch, toHex(set.cid)]
}
const idOf = (config: Signed<Config>): [number, string] => [config.body.epoch, toHex(config.hash)]

describe('[L2.7] the chain of voter sets', () => {
  it('begins with the founder’s', () => {
    expect(chainOf([])?.current).toEqual({ set: first, origin: { is: 'founded' } })
  })

  it('goes on with what a quorum of the set before sealed, and names whom to ask what was left', () => {
    const chain = chainOf([sealedSecond, sealedThird])
    expect(chain?.current.set).toEqual(voterSetOf(third))
    expect(chain?.current.origin).toEqual({
      is: 'sealed',
      seals: [3, 4].map((n) => sealOf(secondSet, third, n).body),
    })
    expect([...(chain?.byCid.keys() ?? [])].toSorted()).toEqual(
      [first, secondSet, voterSetOf(third)].map(({ cid }) => toHex(cid)).toSorted(),
    )
  })

  it('stands still where a link is missing', () => {
    expect(currentOf([sealedThird])).toEqual(idOf(configOf(3)))
  })

  it('does not exist without a valid beginning', () => {
    for (const bad of [
      configOf(3, { epoch: 2 }),
      configOf(3, { space: otherSpace }),
      signedBy(2, 'config', second.body),
    ]) {
      expect(chainOf([sealedSecond], bad)).toBeUndefined()
    }
  })
})

describe('[L2.7] a set installed by force', () => {
  const forced = successorOf(first, [5], { epoch: 1000 })

  it.each([
    [1, 1000],
    [999, 1000],
    [1000, 2000],
    [1001, 2000],
  ])('after epoch %i comes %i', (epoch, next) => {
    expect(forcedEpochAfter(epoch)).toBe(next)
  })

  it('is above whatever those before still seal, and can be followed by agreement', () => {
    const after = successorOf(voterSetOf(forced), [5, 6])
    const records = [forcedBy(forced), sealedSecond, sealedThird]
    expect(chainOf(records)?.current).toEqual({ set: voterSetOf(forced), origin: { is: 'forced' } })
    expect(currentOf([...records, sealedBy(voterSetOf(forced), after, [5])])).toEqual(idOf(after))
  })

  it('two of one epoch are settled the same everywhere', () => {
    const other = successorOf(first, [6], { epoch: 1000 })
    const higher = toHex(forced.hash) > toHex(other.hash) ? forced : other
    expect(currentOf([forcedBy(forced), forcedBy(other)])).toEqual(idOf(higher))
    expect(currentOf([forcedBy(other), forcedBy(forced)])).toEqual(idOf(higher))
  })

  it.each<[string, VoterSetRecord]>([
    ['an epoch that agreement could reach', forcedBy(successorOf(first, [5], { epoch: 2 }))],
    ['another mesh', forcedBy(successorOf(first, [5], { epoch: 1000, space: otherSpace }))],
    ['another author than who wrote it down', forcedBy(forced, peer(2))],
    ['a name that did not sign it', forcedBy(signedBy(2, 'config', forced.body))],
    ['a voter twice', forcedBy(successorOf(first, [5, 5], { epoch: 1000 }))],
    ['garbage', { kind: 'forced', bytes: Uint8Array.of(1, 2, 3), by: peer(1) }],
    ['a certificate', { kind: 'forced', bytes: sealedSecond.bytes, by: peer(1) }],
  ])('does not count with %s', (_what, record) => {
    expect(currentOf([forcedBy(forced)])).toEqual(idOf(forced))
    expect(currentOf([record])).toEqual(idOf(configOf(3)))
  })
})

describe('[L2.7] what does not prove a decision', () => {
  const seals = (fields: Partial<SealVote>, config = second) => [
    sealOf(first, config, 1),
    sealOf(first, config, 2, fields),
  ]
  const [one, two, three] = [1, 2, 3].map((n) => sealOf(first, second, n)) as [
    Signed<SealVote>,
    Signed<SealVote>,
    Signed<SealVote>,
  ]
  const other = successorOf(first, [9])
  const skipping = successorOf(first, [4], { epoch: 3 })
  const foreign = successorOf(first, [4], { space: otherSpace })
  const twice = successorOf(first, [4, 4])

  it('but this does', () => {
    expect(currentOf([{ kind: 'sealed', bytes: sealCertificate(second, [one, three]) }])).toEqual(idOf(second))
    expect(currentOf([{ kind: 'sealed', bytes: sealCertificate(second, [one, two, three]) }])).toEqual(idOf(second))
  })

  it.each<[string, Uint8Array]>([
    ['fewer than a quorum', sealCertificate(second, [one])],
    ['a voter twice', sealCertificate(second, [one, one])],
    ['a voter twice beside a quorum', sealCertificate(second, [one, two, two])],
    ['a stranger', sealCertificate(second, [one, sealOf(first, second, 9)])],
    ['another incarnation', sealCertificate(second, seals({ inc: hex(9) }))],
    ['seals of different ballots', sealCertificate(second, seals({ ballot: ballotOf(2) }))],
    ['a seal for another set', sealCertificate(second, seals({ next: other.hash }))],
    ['a seal of another epoch', sealCertificate(second, seals({ epoch: 2 }))],
    ['a seal on another set', sealCertificate(second, seals({ cid: second.hash }))],
    ['a seal that its voter did not sign', sealCertificate(second, [one, signedBy(3, 'seal', two.body)])],
    ['a statement of another kind', sealCertificate(second, [one, signedBy(2, 'promise', two.body)])],
    ['a set of a later epoch', sealCertificate(skipping, seals({}, skipping))],
    ['a set of another mesh', sealCertificate(foreign, seals({}, foreign))],
    ['a set that follows another', sealCertificate(third, [sealOf(first, third, 1), sealOf(first, third, 2)])],
    ['a set with a voter twice', sealCertificate(twice, seals({}, twice))],
    ['a set that its author did not sign', sealCertificate(signedBy(2, 'config', second.body), [one, two])],
    ['no seals', encodeCanonical({ config: pack(second), seals: [] })],
    ['a configuration alone', encodeCanonical(pack(second))],
    ['garbage', Uint8Array.of(0xff)],
    ['nothing', new Uint8Array()],
    ['far too much', new Uint8Array(SEAL_CERTIFICATE_BYTES_MAX + 1)],
  ])('%s', (_what, bytes) => {
    expect(currentOf([{ kind: 'sealed', bytes }])).toEqual(idOf(configOf(3)))
  })

  it('of four voters two are no quorum', () => {
    const four = voterSetOf(configOf(4))
    const next = successorOf(four, [4])
    const epochAfter = (voters: number[]) => chainOf([sealedBy(four, next, voters)], configOf(4))?.current.set.epoch
    expect([epochAfter([1, 2]), epochAfter([1, 2, 3])]).toEqual([1, 2])
  })
})

describe('[L2.7] the order of the records', () => {
  const forced = successorOf(first, [5], { epoch: 1000 })
  const alsoForced = successorOf(first, [6], { epoch: 1000 })
  const after = successorOf(voterSetOf(forced), [7])
  const garbage: VoterSetRecord[] = [
    { kind: 'sealed', bytes: Uint8Array.of(0xa0) },
    { kind: 'sealed', bytes: sealCertificate(second, [sealOf(first, second, 1)]) },
    { kind: 'forced', bytes: Uint8Array.of(0xa0), by: peer(3) },
  ]
  const all = [
    sealedSecond,
    sealedBy(first, second, [2, 3]),
    sealedThird,
    forcedBy(forced),
    forcedBy(alsoForced),
    sealedBy(voterSetOf(forced), after, [5]),
    ...garbage,
  ]

  it('never matters, nor does garbage between them', () => {
    const some = fc
      .shuffledSubarray(all)
      .chain((records) => fc.tuple(fc.constant(records), fc.shuffledSubarray(records, { minLength: records.length })))
    fc.assert(
      fc.property(some, ([records, shuffled]) => {
        expect(currentOf(shuffled)).toEqual(currentOf(records))
        expect([...chainOf(shuffled)!.byCid.keys()].toSorted()).toEqual([...chainOf(records)!.byCid.keys()].toSorted())
        expect(currentOf([...shuffled, ...records])).toEqual(currentOf(records))
      }),
      { numRuns: 60 },
    )
    expect(currentOf(all)).toEqual(idOf(after))
  })

  it('[L2.10] old certificates are verified against the set of their time', () => {
    const req = requestOf({}, first)
    const certificate = { req, grants: [1, 2].map((n) => new VoterLab(n, first).grantOf(req)) }
    const chain = chainOf([sealedSecond, sealedThird])!
    expect(chain.current.set.epoch).toBe(3)
    const then = chain.byCid.get(toHex(req.body.cid))!
    expect(verifyCertificate(signaturesOf(40), then.set, certificate)).toBe(true)
    expect(verifyCertificate(signaturesOf(40), chain.current.set, certificate)).toBe(false)
  })

  it('a set of 63 voters is decided by certificates that fit', () => {
    const numbers = Array.from({ length: 63 }, (_, i) => i + 1)
    const most = configOf(63)
    const next = signedBy(1, 'config', { ...most.body, epoch: 2, prev: most.hash, voters: votersOf(numbers) })
    const record = sealedBy(voterSetOf(most), next, numbers)
    expect(record.bytes.byteLength).toBeLessThan(SEAL_CERTIFICATE_BYTES_MAX)
    expect(chainOf([record], most)?.current.set.epoch).toBe(2)
  })
})
