import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { encodeCanonical } from '../../../../protocols/codec.ts'
import { signingBytes } from '../../../../protocols/crypto.ts'
import { admissionRefusal } from '../../../../protocols/membership/admission.ts'
import {
  CUTS_MAX,
  MemberName,
  OPAQUE_BYTES_MAX,
  parseRecord,
  RECORD_BYTES_MAX,
  VOTER_SET_BYTES_MAX,
} from '../../../../protocols/membership/records.ts'
import { graphOf } from '../../../../protocols/membership/resolver.ts'
import { crypto, identity } from '../../../support/identity.ts'
import { ALL, bytesOf, createHistory, firstConfig, type History, peer } from './history.ts'
import type { LogRecord } from '../../../../protocols/membership/records.ts'

/** Signs any body as member `n`, whatever it says. */
function sign(n: number, body: object): Uint8Array {
  return encodeCanonical({ ...body, sig: identity(n).sign(signingBytes(crypto, 'rookery/log/1', body)) })
}

const header = (h: History, n: number): object => ({
  v: 1,
  mesh: h.genesis.mesh,
  author: peer(n),
  parents: [h.genesis.id],
  at: 1,
})

const verdict = (bytes: Uint8Array): string => {
  const parsed = parseRecord(crypto, bytes)
  return parsed.ok ? 'ok' : parsed.error
}

/** What the log says to the newest record of a history. */
function refusal(h: History, record: LogRecord): string | undefined {
  const graph = graphOf(
    crypto,
    h.records.filter((other) => other !== record),
  )
  return admissionRefusal(crypto, graph, graph.place(record))
}

describe('one record', () => {
  it('[M4] survives encoding and names itself by its hash', () => {
    const h = createHistory()
    h.join(0, [h.genesis], 1, ['run'])
    h.remove(0, [h.genesis], 1, 3)
    for (const record of h.records) {
      expect(parseRecord(crypto, record.bytes)).toEqual({ ok: true, value: record })
      expect(record.id).toEqual(crypto.sha256(record.bytes))
    }
    expect(h.genesis.mesh).toBe(h.genesis.key)
  })

  it('[A-M4] is refused when a single bit is flipped', () => {
    const h = createHistory()
    const { bytes } = h.join(0, [h.genesis], 1, ['run'])
    fc.assert(
      fc.property(fc.nat(bytes.byteLength * 8 - 1), (bit) => {
        const bad = bytes.slice()
        bad[bit >>> 3] = bad[bit >>> 3]! ^ (1 << (bit & 7))
        expect(verdict(bad)).not.toBe('ok')
      }),
      { numRuns: 300 },
    )
  })

  it('[A-M4] never throws, whatever the bytes', () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => !parseRecord(crypto, bytes).ok))
    expect(verdict(new Uint8Array(200_000).fill(0x81))).toBe('malformed')
  })

  it('[A-M4] is refused when signed by another, for another purpose, or not canonical', () => {
    const h = createHistory()
    const body = { ...header(h, 0), type: 'remove', peer: peer(1), cuts: {} }
    const good = sign(0, body)
    expect(verdict(good)).toBe('ok')
    expect(verdict(sign(1, body))).toBe('bad_signature')
    const elsewhere = identity(0).sign(signingBytes(crypto, 'rookery/env/1', body))
    expect(verdict(encodeCanonical({ ...body, sig: elsewhere }))).toBe('bad_signature')
    // The same map, its head in the longer form.
    const longer = Uint8Array.of(0xb8, good[0]! & 0x1f, ...good.subarray(1))
    expect(verdict(longer)).toBe('malformed')
  })

  it.each([
    ['an unknown field', { extra: 1 }],
    ['no parents', { parents: [] }],
    ['a parent twice', { parents: [bytesOf(1), bytesOf(1)] }],
    ['unsorted parents', { parents: [bytesOf(2), bytesOf(1)] }],
    ['too many parents', { parents: Array.from({ length: 65 }, (_, i) => bytesOf(i)) }],
    ['a short hash for a parent', { parents: [bytesOf(1, 31)] }],
    ['no mesh', { mesh: undefined }],
    ['a document that does not exist', { cuts: { nonsense: { seq: 1, hash: bytesOf(1) } } }],
    ['a negative cut', { cuts: { mesh: { seq: -1, hash: bytesOf(1) } } }],
    ['a name that is no peer id', { peer: 'somebody' }],
  ])('[A-M4] is refused with %s', (_, change) => {
    const h = createHistory()
    expect(verdict(sign(0, { ...header(h, 0), type: 'remove', peer: peer(1), cuts: {}, ...change }))).toBe('malformed')
  })

  it('[A-M4] is refused when a genesis names a mesh or parents', () => {
    const h = createHistory()
    const genesis = { v: 1, type: 'genesis', author: peer(0), at: 1, name: 'x', boxKey: bytesOf(1), nonce: bytesOf(2) }
    expect(verdict(sign(0, { ...genesis, parents: [] }))).toBe('ok')
    expect(verdict(sign(0, { ...genesis, parents: [bytesOf(1)] }))).toBe('malformed')
    expect(verdict(sign(0, { ...genesis, parents: [], mesh: h.genesis.mesh }))).toBe('malformed')
  })

  it('[A-M4] is refused above its size, and a removal with the most cuts is below it', () => {
    const h = createHistory()
    const cuts = Object.fromEntries(
      Array.from({ length: CUTS_MAX }, (_, i) => {
        const doc = `project/00000000-0000-4000-8000-${String(i).padStart(12, '0')}`
        return [doc, { seq: 2 ** 40, hash: bytesOf(i) }]
      }),
    )
    const body = { ...header(h, 0), type: 'remove', peer: peer(1), cuts }
    expect(verdict(sign(0, body))).toBe('ok')
    expect(sign(0, body).byteLength).toBeLessThan(RECORD_BYTES_MAX)
    expect(verdict(sign(0, { ...body, cuts: { ...cuts, mesh: { seq: 1, hash: bytesOf(1) } } }))).toBe('malformed')
    expect(verdict(sign(0, { ...body, peer: 'x'.repeat(RECORD_BYTES_MAX) }))).toBe('malformed')
  })

  it('[M18] is kept without being understood when its type or version is unknown', () => {
    const h = createHistory()
    const later = { ...header(h, 0), type: 'later', words: ['a', { b: 1 }] }
    expect(parseRecord(crypto, sign(0, later))).toMatchObject({
      ok: true,
      value: { act: { type: 'opaque', name: 'later' } },
    })
    expect(parseRecord(crypto, sign(0, { ...later, v: 2, type: 'remove' }))).toMatchObject({
      ok: true,
      value: { act: { type: 'opaque', name: 'remove' } },
    })
    expect(verdict(sign(1, later))).toBe('bad_signature')
    expect(verdict(sign(0, { ...later, words: new Uint8Array(OPAQUE_BYTES_MAX) }))).toBe('malformed')
    expect(verdict(sign(0, { ...later, parents: [] }))).toBe('malformed')
    const deep = Array.from({ length: 40 }).reduce<unknown>((inner) => [inner], 1)
    expect(verdict(sign(0, { ...later, words: deep }))).toBe('malformed')
  })

  it('[M18] keeps capabilities that this release does not know, and lets them grant nothing', () => {
    const h = createHistory()
    const bytes = sign(0, { ...header(h, 0), type: 'setCapabilities', peer: peer(0), capabilities: ['fly', 'run'] })
    expect(verdict(bytes)).toBe('ok')
    const unsorted = { type: 'setCapabilities', peer: peer(0), capabilities: ['run', 'fly'] }
    expect(verdict(sign(0, { ...header(h, 0), ...unsorted }))).toBe('malformed')
  })

  it.each([
    ['a recovery key that gives no `admin`', { type: 'recoveryKey', key: bytesOf(1), capabilities: ['run'] }],
    ['a recovery key of 31 bytes', { type: 'recoveryKey', key: bytesOf(1, 31), capabilities: ['admin'] }],
    ['a voter set without content', { type: 'voterSet', cert: new Uint8Array() }],
    ['a voter set above its size', { type: 'voterSet', cert: new Uint8Array(VOTER_SET_BYTES_MAX + 1) }],
    [
      'a forced voter set above its size',
      { type: 'forcedVoterSet', config: new Uint8Array(VOTER_SET_BYTES_MAX + 1), reason: 'x' },
    ],
    ['a forced voter set without a reason', { type: 'forcedVoterSet', config: bytesOf(1), reason: '' }],
    ['a forced voter set with a long reason', { type: 'forcedVoterSet', config: bytesOf(1), reason: 'x'.repeat(257) }],
    [
      'a forced voter set with a reason that moves the cursor',
      { type: 'forcedVoterSet', config: bytesOf(1), reason: 'a\u001b[2J' },
    ],
  ])('[A-M4] is refused when it is %s', (_, body) => {
    const h = createHistory()
    expect(verdict(sign(0, { ...header(h, 0), ...body }))).toBe('malformed')
  })

  it('[L2.7] carries a voter set up to its size', () => {
    const h = createHistory()
    const cert = new Uint8Array(VOTER_SET_BYTES_MAX)
    expect(verdict(sign(0, { ...header(h, 0), type: 'voterSet', cert }))).toBe('ok')
  })

  it.each(['a\u001b[2Jb', 'a\nb', '\u202eabc', '', ' a', 'x'.repeat(65), 'a\u2028b'])(
    '[M8] is no member name: %j',
    (name) => expect(MemberName.safeParse(name).success).toBe(false),
  )
})

describe('what a log admits', () => {
  const mesh = (): { h: History; tip: LogRecord } => {
    const h = createHistory()
    const one = h.join(0, [h.genesis], 1, ['admit', 'run'])
    const two = h.join(0, [one], 2, ['admin', 'run'])
    return { h, tip: h.join(0, [two], 3, ['run']) }
  }

  it.each<[string, (h: History, tip: LogRecord) => LogRecord, string]>([
    ['a record of a stranger', (h, tip) => h.remove(9, [tip], 9), 'unauthorised'],
    ['an invite without `admit`', (h, tip) => h.invite(3, [tip], ['run']), 'unauthorised'],
    ['an invite wider than its author', (h, tip) => h.invite(1, [tip], ['run', 'vote']), 'unauthorised'],
    ['a removal without `admin`', (h, tip) => h.remove(1, [tip], 3), 'unauthorised'],
    ['a change of capabilities without `admin`', (h, tip) => h.grant(1, [tip], 3, ['run']), 'unauthorised'],
    ['wider capabilities than the author has', (h, tip) => h.grant(2, [tip], 3, ['run', 'vote']), 'unauthorised'],
    ['more capabilities for oneself', (h, tip) => h.grant(2, [tip], 2, [...ALL]), 'unauthorised'],
    ['an act in ignorance of its own authority', (h) => h.invite(1, [h.genesis], ['run']), 'unauthorised'],
    ["revoking another's invite", (h, tip) => h.revoke(1, [tip], h.records[1]!), 'unauthorised'],
    [
      'a voter set that is not by the founder',
      (h, tip) => h.say(2, [tip], firstConfig(h, 2, 'a'.repeat(32))),
      'unauthorised',
    ],
    ['a recovery key without `admin`', (h, tip) => h.recoveryKey(1, [tip], 2000, ['admin', 'run']), 'unauthorised'],
    ['a recovery key wider than its author', (h, tip) => h.recoveryKey(2, [tip], 2000), 'unauthorised'],
    [
      'a recovery by a stranger',
      (h, tip) => {
        const key = h.recoveryKey(0, [tip], 2000)
        return h.recover(9, [key], key)
      },
      'unauthorised',
    ],
    [
      'a recovery by other words',
      (h, tip) => {
        const key = h.recoveryKey(0, [tip], 2000)
        return h.recover(3, [key], key, { words: 2001 })
      },
      'bad_signature',
    ],
    [
      'a recovery by a key that its author did not know of',
      (h, tip) => h.recover(3, [tip], h.recoveryKey(0, [tip], 2000)),
      'bad_recovery',
    ],
    [
      'a recovery by what is no recovery key',
      (h, tip) => h.recover(3, [tip], tip, { words: 2000, capabilities: ['run'] }),
      'bad_recovery',
    ],
    [
      'a recovery of more than the key gives and its author had',
      (h, tip) => {
        const key = h.recoveryKey(2, [tip], 2000, ['admin', 'run'])
        return h.recover(3, [key], key, { capabilities: ['admin', 'run', 'vote'] })
      },
      'unauthorised',
    ],
    [
      'a proof that another member published',
      (h, tip) => {
        const key = h.recoveryKey(0, [tip], 2000)
        const { act } = h.recover(3, [key], key)
        return h.recover(2, [key], key, { proof: (act as { proof: Uint8Array }).proof })
      },
      'bad_signature',
    ],
    [
      'a proof used again after the demotion that answered it',
      (h, tip) => {
        const key = h.recoveryKey(0, [tip], 2000)
        const first = h.recover(3, [key], key)
        const demotion = h.grant(0, [first], 3, ['run'])
        return h.recover(3, [demotion], key, { proof: (first.act as { proof: Uint8Array }).proof })
      },
      'bad_signature',
    ],
    ['a voter set forced without `admin`', (h, tip) => h.force(1, [tip], 1), 'unauthorised'],
    ['a voter set written by a stranger', (h, tip) => h.seal(9, [tip], 1), 'unauthorised'],
    ['revoking what is no invite', (h, tip) => h.revoke(0, [tip], tip), 'bad_invite'],
    [
      "admission by another's invite",
      (h, tip) => {
        const invite = h.invite(0, [tip], ['run'])
        return h.admit(1, [invite], invite, 5)
      },
      'bad_invite',
    ],
    [
      'admission wider than the invite',
      (h, tip) => {
        const invite = h.invite(0, [tip], ['run'])
        return h.admit(0, [invite], invite, { who: 5, capabilities: ['admin', 'run'] })
      },
      'bad_invite',
    ],
    [
      'admission by an invite it does not know of',
      (h, tip) => h.admit(0, [tip], h.invite(0, [tip], ['run']), 5),
      'bad_invite',
    ],
  ])('[A-M4] refuses %s', (_, make, why) => {
    const { h, tip } = mesh()
    expect(refusal(h, make(h, tip))).toBe(why)
  })

  it('[M8] refuses an admission that came after the expiry or lacks possession of the invite key', () => {
    const { h, tip } = mesh()
    const invite = h.invite(0, [tip], ['run'])
    const good = h.admit(0, [invite], invite, 5)
    expect(refusal(h, good)).toBeUndefined()
    const again = (change: object): string | undefined => {
      const { sig: _, ...body } = good.act as { sig: Uint8Array }
      const parsed = parseRecord(crypto, sign(0, { ...body, ...change }))
      return parsed.ok ? refusal(h, parsed.value) : parsed.error
    }
    expect(again({ at: 1_800_000_001_000 })).toBeUndefined()
    expect(again({ at: 1_800_000_001_001 })).toBe('bad_invite')
    expect(again({ peer: peer(6) })).toBe('bad_signature')
    expect(again({ boxKey: bytesOf(77) })).toBe('bad_signature')
  })

  it('[A-M4] refuses records of another mesh and a second genesis', () => {
    const { h } = mesh()
    const other = createHistory(7)
    const graph = graphOf(crypto, h.records)
    expect(admissionRefusal(crypto, graph, graph.place(other.genesis))).toBe('foreign_mesh')
    const bytes = sign(0, {
      ...header(h, 0),
      mesh: other.genesis.mesh,
      type: 'setCapabilities',
      peer: peer(0),
      capabilities: [],
    })
    const foreign = parseRecord(crypto, bytes)
    expect(foreign.ok && admissionRefusal(crypto, graph, graph.place(foreign.value))).toBe('foreign_mesh')
  })

  it('[M18] keeps an unknown record of a member, not of a stranger', () => {
    const { h, tip } = mesh()
    const graph = graphOf(crypto, h.records)
    const say = (n: number): string | undefined => {
      const parsed = parseRecord(crypto, sign(n, { ...header(h, n), parents: [tip.id], type: 'later' }))
      return parsed.ok ? admissionRefusal(crypto, graph, graph.place(parsed.value)) : parsed.error
    }
    expect([say(3), say(9)]).toEqual([undefined, 'unauthorised'])
  })
})
