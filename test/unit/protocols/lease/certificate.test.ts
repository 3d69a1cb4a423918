import { describe, expect, it } from 'vitest'
import { MalformedError } from '../../../../protocols/codec.ts'
import { verifyCertificate } from '../../../../protocols/lease/certificate.ts'
import { createFounderConfig, verifyConfig, voterSetOf } from '../../../../protocols/lease/config.ts'
import { decodeFrame, encodeMessage, MESSAGES_PER_FRAME_MAX, takeFrame } from '../../../../protocols/lease/frame.ts'
import type { Certificate, Grant } from '../../../../protocols/lease/messages.ts'
import { requestHash, signAs } from '../../../../protocols/lease/signing.ts'
import { crypto } from '../../../support/identity.ts'
import {
  Arena,
  configOf,
  hex,
  keysOf,
  otherSpace,
  peer,
  requestOf,
  space,
  VoterLab,
} from '../../../support/lease-lab.ts'

const set = voterSetOf(crypto, configOf(3))

function certificate(fields: Parameters<typeof requestOf>[0] = {}, arena = new Arena(3)): Certificate {
  const req = requestOf(fields, set)
  return { req, grants: arena.voters.map((voter) => voter.grantOf(req)) }
}

/** A grant with other content, signed again by its voter. */
const altered = (grant: Grant, voter: number, change: Partial<Grant>): Grant => {
  const { sig: _sig, ...body } = { ...grant, ...change }
  return signAs(keysOf(voter), 'grant', body)
}

describe('[A-L1] certificates', () => {
  const good = certificate()
  const [one, two, three] = good.grants as [Grant, Grant, Grant]
  const { req } = good
  const notSigned = { ...req, sig: new Uint8Array(64) }
  const reqHash = requestHash(crypto, notSigned)
  const unsigned = { req: notSigned, grants: [altered(one, 1, { reqHash }), altered(two, 2, { reqHash })] }

  it('a quorum suffices', () => {
    expect(verifyCertificate(crypto, set, good)).toBe(true)
    expect(verifyCertificate(crypto, set, { req, grants: [one, three] })).toBe(true)
  })

  it.each<[string, Certificate]>([
    ['below quorum', { req, grants: [one] }],
    ['a voter twice', { req, grants: [one, one] }],
    ['a forged grant', { req, grants: [one, { ...two, sig: three.sig }] }],
    ['a forged request', { req: { ...req, ttl: 60_000 }, grants: [one, two] }],
    ['a request its node never signed, although voters granted it', unsigned],
    ['an unsigned request', { req: { ...req, sig: new Uint8Array(64) }, grants: [one, two] }],
    ['grants of somebody who is no voter', { req, grants: [one, altered(two, 9, { voter: peer(9), inc: hex(9) })] }],
    ['another incarnation', { req, grants: [one, altered(two, 2, { inc: hex(9) })] }],
    ['another lease id', { req, grants: [one, altered(two, 2, { lid: hex(9) })] }],
    ['another sequence number', { req, grants: [one, altered(two, 2, { seq: 9 })] }],
    ['another token', { req, grants: [one, altered(two, 2, { token: { epoch: 1, n: 9 } })] }],
    ['another epoch', { req, grants: [one, altered(two, 2, { epoch: 2 })] }],
    ['another length', { req, grants: [one, altered(two, 2, { ttl: 60_000 })] }],
    ['another request hash', { req, grants: [one, altered(two, 2, { reqHash: new Uint8Array(32) })] }],
    ['grants for another mesh', { req, grants: [one, altered(two, 2, { space: otherSpace })] }],
    ['grants replayed for a later request', { req: requestOf({ seq: 1 }, set), grants: [one, two, three] }],
  ])('refused: %s', (_what, bad) => {
    expect(verifyCertificate(crypto, set, bad)).toBe(false)
  })

  it('refused: a whole certificate of another mesh or of another voter set', () => {
    const other = signAs(keysOf(1), 'config', { ...configOf(3), space: otherSpace, sig: undefined })
    expect(verifyCertificate(crypto, voterSetOf(crypto, other), good)).toBe(false)
    expect(verifyCertificate(crypto, voterSetOf(crypto, configOf(1)), good)).toBe(false)
  })

  it('an expired one opens nothing: a replayed request is refused where it counts, at the voters', () => {
    const lab = new VoterLab()
    const first = requestOf({ ttl: 1000 })
    lab.ask(first)
    lab.nowMs = 2000
    lab.ask(requestOf({ by: 22, n: 2, ttl: 1000 }))
    lab.nowMs = 4000
    expect(lab.answer(first)).toBe('stale')
  })
})

describe('[L2.7] the configuration of epoch 1', () => {
  const config = createFounderConfig({ ...keysOf(1), space, inc: hex(5) })
  const mesh = { space, founder: peer(1) }

  it('names the founder with its incarnation, signed by it', () => {
    expect(config).toEqual({
      v: 1,
      space,
      epoch: 1,
      voters: [{ node: peer(1), inc: hex(5) }],
      prev: null,
      by: peer(1),
      sig: expect.any(Uint8Array),
    })
    expect(verifyConfig(crypto, config, mesh)).toBe(true)
  })

  it('is refused for another mesh, founder, epoch, or with a changed or repeated voter', () => {
    const sign = (fields: object) => signAs(keysOf(1), 'config', { ...config, ...fields, sig: undefined })
    const { voters } = config
    expect(
      [
        verifyConfig(crypto, config, { ...mesh, space: otherSpace }),
        verifyConfig(crypto, config, { ...mesh, founder: peer(2) }),
        verifyConfig(crypto, { ...config, voters: [{ node: peer(2), inc: hex(5) }] }, mesh),
        verifyConfig(crypto, sign({ epoch: 2 }), mesh),
        verifyConfig(crypto, sign({ prev: new Uint8Array(32) }), mesh),
        verifyConfig(crypto, sign({ voters: [...voters, ...voters] }), mesh),
      ].filter(Boolean),
    ).toEqual([])
  })

  it.each([
    [1, 1],
    [2, 2],
    [3, 2],
    [4, 3],
    [5, 3],
  ])('of %i voters %i are a quorum', (voters, quorum) => {
    expect(voterSetOf(crypto, configOf(voters)).quorum).toBe(quorum)
  })
})

describe('[M3] frames', () => {
  const message = { t: 'request' as const, m: requestOf() }

  it('carry several messages in order, within their limits', () => {
    const queue = Array.from({ length: MESSAGES_PER_FRAME_MAX + 1 }, () => encodeMessage(message))
    expect(decodeFrame(takeFrame(queue))).toEqual(Array.from({ length: MESSAGES_PER_FRAME_MAX }, () => message))
    expect(decodeFrame(takeFrame(queue))).toEqual([message])
    const large = [new Uint8Array(400_000), new Uint8Array(400_000)]
    takeFrame(large)
    expect(large).toHaveLength(1)
  })

  it('that are malformed are refused as such', () => {
    const bytes = takeFrame([encodeMessage(message)])
    for (const bad of [bytes.subarray(0, -1), new Uint8Array(), takeFrame([Uint8Array.of(0xa0)])]) {
      expect(() => decodeFrame(bad)).toThrow(MalformedError)
    }
  })
})
