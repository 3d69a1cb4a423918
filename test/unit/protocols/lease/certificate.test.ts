import { describe, expect, it } from 'vitest'
import { decodeCanonical, encodeCanonical, MalformedError } from '../../../../protocols/codec.ts'
import { packCertificate, unpackCertificate, verifyCertificate } from '../../../../protocols/lease/certificate.ts'
import {
  CONFIG_BYTES_MAX,
  createFounderConfig,
  readConfig,
  readFounderConfig,
  voterSetOf,
} from '../../../../protocols/lease/config.ts'
import {
  decodeFrame,
  encodeMessage,
  MESSAGE_BYTES_MAX,
  MESSAGES_PER_FRAME_MAX,
  takeFrame,
} from '../../../../protocols/lease/frame.ts'
import { Config, type Certificate, type Grant } from '../../../../protocols/lease/messages.ts'
import { pack, Packed, type Signed } from '../../../../protocols/lease/signing.ts'
import {
  Arena,
  configOf,
  hex,
  keysOf,
  otherSpace,
  peer,
  requestOf,
  signaturesOf,
  signedBy,
  space,
  VoterLab,
} from '../../../support/lease-lab.ts'

const set = voterSetOf(configOf(3))
/** Whoever checks is nobody in particular. */
const signatures = signaturesOf(40)

function certificate(fields: Parameters<typeof requestOf>[0] = {}, arena = new Arena(3)): Certificate {
  const req = requestOf(fields, set)
  return { req, grants: arena.voters.map((voter) => voter.grantOf(req)) }
}

/** A grant with other content, signed again by its voter. */
const altered = ({ body }: Signed<Grant>, voter: number, change: Partial<Grant>): Signed<Grant> =>
  signedBy(voter, 'grant', { ...body, ...change })

/** Other content under the signature that is there. */
const forged = <T extends object>({ seal, ...draft }: Signed<T>, change: Partial<T>): Signed<T> => ({
  ...signatures.draft(draft.kind, { ...draft.body, ...change }),
  seal,
})

const noSeal = { sig: new Uint8Array(64), path: [], at: 0 }

describe('[A-L1] certificates', () => {
  const good = certificate()
  const [one, two, three] = good.grants as [Signed<Grant>, Signed<Grant>, Signed<Grant>]
  const { req } = good
  const unsigned = { req: { ...req, seal: noSeal }, grants: [one, two] }
  const changed = forged(req, { ttl: 60_000 })
  const granted = { reqHash: changed.hash, ttl: 60_000 }

  it('a quorum suffices', () => {
    expect(verifyCertificate(signatures, set, good)).toBe(true)
    expect(verifyCertificate(signatures, set, { req, grants: [one, three] })).toBe(true)
  })

  it.each<[string, Certificate]>([
    ['below quorum', { req, grants: [one] }],
    ['a voter twice', { req, grants: [one, one] }],
    ['a forged grant', { req, grants: [one, { ...two, seal: three.seal }] }],
    ['a changed grant', { req, grants: [one, forged(two, { vseq: 9 })] }],
    ['a forged request', { req: changed, grants: [one, two] }],
    [
      'a request its node never signed, although voters granted it',
      { req: changed, grants: [altered(one, 1, granted), altered(two, 2, granted)] },
    ],
    ['an unsigned request', unsigned],
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
    expect(verifyCertificate(signatures, set, bad)).toBe(false)
  })

  it('refused: a whole certificate of another mesh or of another voter set', () => {
    const other = configOf(3, { space: otherSpace })
    expect(verifyCertificate(signatures, voterSetOf(other), good)).toBe(false)
    expect(verifyCertificate(signatures, voterSetOf(configOf(1)), good)).toBe(false)
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

describe('[A-L1] certificates as they lie in records', () => {
  it('come back as what they were, and are checked anew', () => {
    const good = certificate()
    const back = unpackCertificate(signatures, packCertificate(good), MESSAGE_BYTES_MAX)
    expect(back).toEqual(good)
    expect(verifyCertificate(signatures, set, back)).toBe(true)
  })

  it('are refused as malformed when a statement is not what its name says', () => {
    const { req, grants } = packCertificate(certificate())
    for (const bad of [
      { req: grants[0]!, grants },
      { req, grants: [req] },
      { req: { ...req, b: Uint8Array.of(0xa0) }, grants },
    ]) {
      expect(() => unpackCertificate(signatures, bad, MESSAGE_BYTES_MAX)).toThrow(MalformedError)
    }
    expect(() => unpackCertificate(signatures, { req, grants }, 10)).toThrow(MalformedError)
  })
})

describe('[L2.7] the configuration of epoch 1', () => {
  const bytes = createFounderConfig({ ...keysOf(1), space, inc: hex(5) })
  const mesh = { space, founder: peer(1) }
  const isAccepted = (of: Uint8Array, where = mesh): boolean => {
    try {
      readFounderConfig(signatures, of, where)
      return true
    } catch (error) {
      expect(error).toBeInstanceOf(MalformedError)
      return false
    }
  }
  const { config } = readFounderConfig(signatures, bytes, mesh)

  it('names the founder with its incarnation, signed by it', () => {
    expect(config.body).toEqual({
      v: 1,
      space,
      epoch: 1,
      voters: [{ node: peer(1), inc: hex(5) }],
      prev: null,
      by: peer(1),
    })
    expect(signatures.isSignedBy(peer(1), config)).toBe(true)
  })

  it('is refused for another mesh, founder, epoch, or with a changed or repeated voter', () => {
    const sign = (fields: Partial<Config>, by = 1) =>
      encodeCanonical(pack(signedBy(by, 'config', { ...config.body, ...fields })))
    const { voters } = config.body
    expect(isAccepted(sign({}))).toBe(true)
    expect(
      [
        isAccepted(bytes, { ...mesh, space: otherSpace }),
        isAccepted(bytes, { ...mesh, founder: peer(2) }),
        isAccepted(encodeCanonical(pack(forged(config, { voters: [{ node: peer(2), inc: hex(5) }] })))),
        isAccepted(sign({ epoch: 2 })),
        isAccepted(sign({ prev: new Uint8Array(32) })),
        isAccepted(sign({ voters: [...voters, ...voters] })),
        isAccepted(sign({ voters: [] })),
        isAccepted(sign({}, 2)),
        isAccepted(sign({ by: peer(2) }, 2)),
        isAccepted(bytes.subarray(0, -1)),
        isAccepted(new Uint8Array(CONFIG_BYTES_MAX + 1)),
      ].filter(Boolean),
    ).toEqual([])
  })

  it('a statement of another kind is no configuration, whatever it says', () => {
    const packed = pack(signedBy(1, 'candidate', config.body))
    expect(decodeCanonical(Config, packed.b, CONFIG_BYTES_MAX)).toEqual(config.body)
    expect(() => readConfig(signatures, packed)).toThrow(MalformedError)
    expect(readConfig(signatures, decodeCanonical(Packed, bytes, CONFIG_BYTES_MAX)).cid).toEqual(config.hash)
  })

  it.each([
    [1, 1],
    [2, 2],
    [3, 2],
    [4, 3],
    [5, 3],
  ])('of %i voters %i are a quorum', (voters, quorum) => {
    expect(voterSetOf(configOf(voters)).quorum).toBe(quorum)
  })
})

describe('[M3] frames', () => {
  const message = { t: 'request' as const, m: requestOf() }
  const decode = (frame: Uint8Array) => decodeFrame(signatures, frame)

  it('carry several messages in order, within their limits', () => {
    const queue = Array.from({ length: MESSAGES_PER_FRAME_MAX + 1 }, () => encodeMessage(message))
    expect(decode(takeFrame(queue))).toEqual(Array.from({ length: MESSAGES_PER_FRAME_MAX }, () => message))
    expect(decode(takeFrame(queue))).toEqual([message])
    const large = [new Uint8Array(400_000), new Uint8Array(400_000)]
    takeFrame(large)
    expect(large).toHaveLength(1)
  })

  it('may hold what a later release says: it is passed over', () => {
    const later = encodeCanonical({ t: 'later', m: { anything: 1 } })
    expect(decode(takeFrame([later, encodeMessage(message), later]))).toEqual([message])
    expect(() => decode(takeFrame([encodeCanonical({ t: 'free', m: { anything: 1 } })]))).toThrow(MalformedError)
  })

  it('that are malformed are refused as such', () => {
    const bytes = takeFrame([encodeMessage(message)])
    for (const bad of [bytes.subarray(0, -1), new Uint8Array(), takeFrame([Uint8Array.of(0xa0)])]) {
      expect(() => decode(bad)).toThrow(MalformedError)
    }
  })
})
