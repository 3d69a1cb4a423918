import { describe, expect, it } from 'vitest'
import type { Claim } from '../../../../protocols/lease/claimant.ts'
import { verifyCertificate } from '../../../../protocols/lease/certificate.ts'
import { voterSetOf } from '../../../../protocols/lease/config.ts'
import { DEFAULT_TIMINGS } from '../../../../protocols/lease/timings.ts'
import { Arena, hex, signaturesOf, signedBy } from '../../../support/lease-lab.ts'
import { sealedEpoch, successorOf } from '../../../support/succession-lab.ts'

const { holdMs, ttlMs, firstRenewMs, requestTimeoutMs } = DEFAULT_TIMINGS

/** A lease of member 21, renewed to its full length. */
function renewed(arena: Arena): Claim {
  const claim = arena.claim(21)
  expect(arena.exchange(claim)).toEqual(['certified'])
  arena.advance(firstRenewMs)
  expect(arena.exchange(claim)).toEqual(['renewed'])
  return claim
}

/** The same voters go on as a new set, each with its own promises, unless told that they have not heard of it. */
function changeVoters(arena: Arena, { isHeard = true } = {}): void {
  const next = successorOf(arena.current, [1, 2, 3])
  arena.current = voterSetOf(next)
  if (isHeard) for (const voter of arena.voters) voter.adopt(sealedEpoch(next), [])
}

const asked = (claim: Claim, arena: Arena) => claim.poll(arena.now).send?.request.body

describe('[L2.5] a lease over a change of voters', () => {
  it('asks the new ones at once, under a token of their epoch, and goes on', () => {
    const arena = new Arena(3)
    const claim = renewed(arena)
    changeVoters(arena)
    arena.nextToken = 7
    const { send, event } = claim.poll(arena.now)
    expect([send?.request.body.token, send?.request.body.epoch, event]).toEqual([{ epoch: 2, n: 7 }, 2, undefined])
    expect(send?.request.body).toMatchObject({ cid: arena.current.cid, ttl: ttlMs, seq: 2 })
    const grants = [0, 1].map((voter) => arena.reply(voter, arena.signed(send!.request))!)
    expect(arena.deliver(claim, grants[0]!)).toBeUndefined()
    const retokened = arena.deliver(claim, grants[1]!)
    expect(retokened?.is).toBe('retokened')
    if (retokened?.is !== 'retokened') return
    expect(verifyCertificate(signaturesOf(40), arena.current, retokened.certificate)).toBe(true)
    expect(claim.isValid(arena.now)).toBe(true)
    expect(claim.token).toEqual({ epoch: 2, n: 7 })
  })

  it('[I3] its old token stays in use until the new one is certified', () => {
    const arena = new Arena(3)
    const claim = renewed(arena)
    changeVoters(arena)
    expect(arena.exchange(claim, [0])).toEqual([])
    expect(claim.isValid(arena.now)).toBe(true)
    expect(claim.token).toEqual({ epoch: 1, n: 1 })
  })

  it('asks for the same token in every round of an epoch, and for a new one in the next', () => {
    const arena = new Arena(3)
    const claim = renewed(arena)
    changeVoters(arena)
    arena.nextToken = 7
    expect(asked(claim, arena)?.token).toEqual({ epoch: 2, n: 7 })
    arena.nextToken = 8
    arena.advance(requestTimeoutMs)
    claim.poll(arena.now)
    arena.advance(1000)
    expect(asked(claim, arena)).toMatchObject({ token: { epoch: 2, n: 7 }, seq: 3 })
    changeVoters(arena)
    expect(asked(claim, arena)).toMatchObject({ token: { epoch: 3, n: 8 }, epoch: 3 })
    arena.advance(1000)
    expect(arena.exchange(claim)).toEqual(['retokened'])
  })

  it('answers of the voters before to what was under way do not count any more', () => {
    const arena = new Arena(3)
    const claim = renewed(arena)
    arena.advance(20_000)
    const { request } = claim.poll(arena.now).send!
    const late = [0, 1, 2].map((voter) => arena.reply(voter, arena.signed(request))!)
    changeVoters(arena)
    claim.poll(arena.now)
    expect(late.map((grant) => arena.deliver(claim, grant))).toEqual([undefined, undefined, undefined])
  })

  it('an attempt that has not been granted starts over', () => {
    const arena = new Arena(3)
    const claim = arena.claim(21)
    arena.exchange(claim, [0])
    changeVoters(arena)
    expect(claim.poll(arena.now)).toEqual({ event: { is: 'refused' } })
  })

  it('a claim for a token of an earlier epoch is refused before it is sent', () => {
    const arena = new Arena(3)
    const claim = arena.claim(21)
    changeVoters(arena)
    expect(claim.poll(arena.now)).toEqual({ event: { is: 'refused' } })
  })

  it('tells old and new voters when it is given up while it is carried over', () => {
    const arena = new Arena(3)
    const claim = renewed(arena)
    const { send } = (arena.advance(20_000), claim.poll(arena.now))
    arena.current = voterSetOf(successorOf(arena.current, [4, 5]))
    const { to } = claim.release()
    expect(new Set(to)).toEqual(new Set([...send!.to, ...arena.current.incarnations.keys()]))
  })
})

describe('[I2b] a lease that lapsed over a change of voters is lost', () => {
  it('when it had lapsed before', () => {
    const arena = new Arena(3)
    const claim = renewed(arena)
    arena.suspend(ttlMs)
    expect(claim.poll(arena.now).event).toEqual({ is: 'suspended' })
    changeVoters(arena)
    expect(claim.poll(arena.now)).toEqual({ event: { is: 'lost' } })
  })

  it('when it lapses before anybody has looked', () => {
    const arena = new Arena(3)
    const claim = renewed(arena)
    changeVoters(arena)
    arena.suspend(ttlMs)
    expect(claim.poll(arena.now)).toEqual({ event: { is: 'lost' } })
    expect([claim.hasEnded, claim.poll(arena.now)]).toEqual([true, {}])
  })

  it('when it lapses while its token of the new epoch is asked for: that one is never resumed with', () => {
    const arena = new Arena(3)
    const claim = renewed(arena)
    changeVoters(arena, { isHeard: false })
    expect(asked(claim, arena)?.token.epoch).toBe(2)
    arena.suspend(ttlMs)
    expect(claim.poll(arena.now)).toEqual({ event: { is: 'lost' } })
  })

  it('when the grants of its token of the new epoch come after the end', () => {
    const arena = new Arena(3)
    const claim = renewed(arena)
    changeVoters(arena)
    arena.advance(claim.dueMs(arena.now) - arena.now.monoMs)
    const { request } = claim.poll(arena.now).send!
    const grants = [0, 1].map((voter) => arena.reply(voter, arena.signed(request))!)
    arena.suspend(52_000) // the old token’s time is up, the new one’s would not be
    expect(grants.map((grant) => arena.deliver(claim, grant))).toEqual([undefined, { is: 'lost' }])
    expect(claim.isValid(arena.now)).toBe(false)
  })
})

describe('[L2.11] a lease that an earlier process was given', () => {
  const resumed = (arena: Arena) => arena.claim(21, { isResumed: true, firstSeq: 2 * 2 ** 20 })

  it('is not valid before the voters have confirmed it; then it goes on under its token', () => {
    const arena = new Arena(3)
    renewed(arena)
    const claim = resumed(arena)
    expect(claim.isValid(arena.now)).toBe(false)
    expect(asked(claim, arena)).toMatchObject({ seq: 2 * 2 ** 20, ttl: holdMs, token: { epoch: 1, n: 1 } })
    arena.advance(1000)
    expect(arena.exchange(claim)).toEqual(['resumed'])
    expect(claim.isValid(arena.now)).toBe(true)
  })

  it('is lost after three rounds when somebody was certified in between', () => {
    const arena = new Arena(3)
    renewed(arena)
    arena.advance(ttlMs)
    const other = arena.claim(22, { token: { epoch: 1, n: 2 } })
    expect(arena.exchange(other)).toEqual(['certified'])
    arena.release(other)
    const claim = resumed(arena)
    const events = [0, 1, 2].map(() => {
      const round = arena.exchange(claim)
      arena.advance(1000)
      return round
    })
    expect(events).toEqual([[], [], ['lost']])
  })

  it('is lost at once when other voters vote now', () => {
    const arena = new Arena(3)
    renewed(arena)
    changeVoters(arena)
    expect(resumed(arena).poll(arena.now)).toEqual({ event: { is: 'lost' } })
  })

  it('is lost when it was released', () => {
    const arena = new Arena(3)
    arena.release(renewed(arena))
    const claim = resumed(arena)
    const events = [0, 1, 2].flatMap(() => {
      const round = arena.exchange(claim)
      arena.advance(1000)
      return round
    })
    expect(events).toEqual(['lost'])
  })
})

describe('[L2.12] voters that broke their word', () => {
  it('do not count: their grants are neither a vote nor evidence', () => {
    const arena = new Arena(3)
    const noted: string[] = []
    const claim = arena.claim(21, {
      isExcluded: (_voter, inc) => inc === hex(1),
      noteGrant: ({ body }) => noted.push(body.inc),
    })
    expect(arena.exchange(claim, [0, 1])).toEqual([])
    arena.advance(1000)
    expect(arena.exchange(claim, [2])).toEqual(['certified'])
    expect(noted).toEqual([hex(2), hex(3)])
  })

  it('what their names are forged under is no evidence', () => {
    const arena = new Arena(1)
    const noted: unknown[] = []
    const claim = arena.claim(21, { noteGrant: (grant) => noted.push(grant) })
    const grant = arena.grantOf(0, claim.poll(arena.now).send!.request)
    arena.deliver(claim, signedBy(2, 'grant', grant.body))
    expect(noted).toEqual([])
    arena.deliver(claim, grant)
    expect(noted).toEqual([grant])
  })
})
