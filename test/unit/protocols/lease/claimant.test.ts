import { describe, expect, it } from 'vitest'
import { backoffMs, DEFAULT_TIMINGS } from '../../../../protocols/lease/timings.ts'
import { Arena, hex, path, peer, signedBy, VoterLab } from '../../../support/lease-lab.ts'

const { holdMs, ttlMs, margin, firstRenewMs, requestTimeoutMs, retransmitMs } = DEFAULT_TIMINGS

/** What a voter answers to a request of member 21 or 22. */
const reply = (arena: Arena, voter: number, request: Parameters<Arena['signed']>[0]) =>
  arena.reply(voter, arena.signed(request))

/** A claim by member 21 that all voters have granted. */
function held(arena: Arena) {
  const claim = arena.claim(21)
  expect(arena.exchange(claim)).toEqual(['certified'])
  return claim
}

/** And that has been renewed to its full length. */
function renewed(arena: Arena) {
  const claim = held(arena)
  arena.advance(firstRenewMs)
  expect(arena.exchange(claim)).toEqual(['renewed'])
  return claim
}

describe('[L2.5] acquire', () => {
  it('a quorum certifies, one grant fewer does not', () => {
    const arena = new Arena(3)
    const claim = arena.claim(21)
    expect(arena.exchange(claim, [0])).toEqual([])
    expect(claim.isValid(arena.now)).toBe(false)
    arena.advance(retransmitMs)
    expect(arena.exchange(claim, [1])).toEqual(['certified'])
    expect(claim.isValid(arena.now)).toBe(true)
  })

  it('half of four voters is not a quorum', () => {
    const arena = new Arena(4)
    const claim = arena.claim(21)
    expect(arena.exchange(claim, [0, 1])).toEqual([])
    arena.advance(retransmitMs)
    expect(arena.exchange(claim, [2])).toEqual(['certified'])
  })

  it('the same voter counts once', () => {
    const arena = new Arena(3)
    const claim = arena.claim(21)
    const { request } = claim.poll(arena.now).send!
    const grant = reply(arena, 0, request)!
    expect([arena.deliver(claim, grant), arena.deliver(claim, grant)]).toEqual([undefined, undefined])
  })

  it('a hasty claim ends when a voter wants a higher token, another waits for the rest', () => {
    const ends = [true, false].map((isHasty) => {
      const arena = new Arena(3)
      arena.release(held(arena)) // leaves its token behind at all voters
      arena.voters[1] = new VoterLab(2, arena.set)
      arena.voters[2] = new VoterLab(3, arena.set)
      const claim = arena.claim(22, { isHasty })
      return [arena.exchange(claim, [0]), arena.exchange(claim, [1, 2]), claim.standing().denies.map(({ why }) => why)]
    })
    expect(ends[0]).toEqual([['refused'], [], ['stale']])
    expect(ends[1]?.[0]).toEqual([])
  })

  it('asks for the short hold first', () => {
    const arena = new Arena(1)
    expect(arena.claim(21).poll(arena.now).send!.request.body.ttl).toBe(holdMs)
  })

  it('validity counts from before the first transmission, not from retransmission or answer', () => {
    const arena = new Arena(1)
    const claim = arena.claim(21)
    const first = claim.poll(arena.now).send!
    arena.advance(retransmitMs)
    expect(claim.poll(arena.now).send).toEqual(first) // the same bytes
    arena.advance(1000)
    arena.deliver(claim, reply(arena, 0, first.request)!)
    arena.advance(margin * holdMs - 2001)
    expect(claim.isValid(arena.now)).toBe(true)
    arena.advance(1)
    expect(claim.isValid(arena.now)).toBe(false)
  })

  it('a quorum that comes too late certifies nothing', () => {
    const arena = new Arena(1)
    const claim = arena.claim(21)
    const grant = reply(arena, 0, claim.poll(arena.now).send!.request)!
    arena.advance(margin * holdMs)
    expect(arena.deliver(claim, grant)).toEqual({ is: 'refused' })
    expect(claim.isValid(arena.now)).toBe(false)
  })

  it('retransmits to the voters that have not answered, and gives up in time', () => {
    const arena = new Arena(3)
    const claim = arena.claim(21)
    arena.exchange(claim, [0])
    arena.advance(retransmitMs - 1)
    expect(claim.poll(arena.now)).toEqual({})
    arena.advance(1)
    expect(claim.poll(arena.now).send?.to).toEqual([peer(2), peer(3)])
    arena.advance(requestTimeoutMs - retransmitMs)
    expect(claim.poll(arena.now)).toEqual({ event: { is: 'refused' } })
    expect(claim.standing()).toEqual({ denies: [], granted: 1, silent: [peer(2), peer(3)] })
  })

  it('is refused as soon as a quorum has become impossible, and knows why', () => {
    const arena = new Arena(3)
    held(arena)
    const second = arena.claim(22, { token: { epoch: 1, n: 2 } })
    expect(arena.exchange(second, [0])).toEqual([])
    arena.advance(retransmitMs)
    expect(arena.exchange(second, [1])).toEqual(['refused'])
    expect(second.standing().denies.map(({ why, by }) => [why, by?.node])).toEqual([
      ['conflict', peer(21)],
      ['conflict', peer(21)],
    ])
  })

  it('a withdrawn attempt is no news to those who refused it; a held lease is given back to all', () => {
    const arena = new Arena(3)
    held(arena)
    const second = arena.claim(22, { token: { epoch: 1, n: 2 } })
    expect(arena.exchange(second, [0, 1])).toEqual(['refused'])
    expect(second.release().to).toEqual([peer(3)])
    const own = arena.claim(21, { lid: hex(5), token: { epoch: 1, n: 3 } })
    arena.exchange(own)
    arena.advance(firstRenewMs)
    arena.voters[0]!.removed.add(peer(21))
    arena.exchange(own, [0])
    expect(own.release().to).toEqual([peer(1), peer(2), peer(3)])
  })

  it('late grants of a withdrawn attempt are ignored', () => {
    const arena = new Arena(1)
    const claim = arena.claim(21)
    const grant = reply(arena, 0, claim.poll(arena.now).send!.request)!
    claim.release()
    expect(arena.deliver(claim, grant)).toBeUndefined()
    expect([claim.isValid(arena.now), claim.poll(arena.now)]).toEqual([false, {}])
  })

  it('[I4] grants for another request do not count: each round asks anew', () => {
    const arena = new Arena(3)
    const claim = held(arena)
    arena.advance(firstRenewMs)
    const old = claim.poll(arena.now).send!.request
    const late = [reply(arena, 0, old)!, reply(arena, 1, old)!]
    arena.advance(requestTimeoutMs)
    claim.poll(arena.now)
    arena.advance(1000)
    expect(claim.poll(arena.now).send!.request.body.seq).toBe(old.body.seq + 1)
    expect(late.map((grant) => arena.deliver(claim, grant))).toEqual([undefined, undefined])
  })

  it('a refusal of an earlier round does not count', () => {
    const arena = new Arena(3)
    const claim = held(arena)
    arena.voters[0]!.removed.add(peer(21))
    arena.advance(firstRenewMs)
    const refusal = reply(arena, 0, claim.poll(arena.now).send!.request)!
    arena.advance(requestTimeoutMs)
    claim.poll(arena.now)
    arena.advance(1000)
    claim.poll(arena.now)
    arena.deliver(claim, refusal)
    expect(claim.standing()).toEqual({ denies: [], granted: 0, silent: [peer(1), peer(2), peer(3)] })
  })

  it('a grant that its voter did not sign, or a refusal by no voter, does not count', () => {
    const arena = new Arena(1)
    const claim = arena.claim(21)
    const grant = arena.grantOf(0, claim.poll(arena.now).send!.request)
    const seal = { sig: new Uint8Array(64), path: [], at: 0 }
    expect(arena.deliver(claim, { ...grant, seal })).toBeUndefined()
    const { reqHash, lid } = grant.body
    expect(arena.deliver(claim, { voter: peer(2), lid, reqHash, why: 'released' })).toBeUndefined()
    expect(arena.deliver(claim, grant)).toMatchObject({ is: 'certified' })
  })

  it('[L2.11] a voter that lost its disk and came back under a new incarnation does not count', () => {
    const arena = new Arena(3)
    const claim = arena.claim(21)
    const { request } = claim.poll(arena.now).send!
    const [first, second] = [arena.grantOf(0, request), arena.grantOf(1, request)]
    arena.deliver(claim, first)
    const body = { ...second.body, inc: hex(99) }
    expect(arena.deliver(claim, signedBy(2, 'grant', body))).toBeUndefined()
    expect(arena.deliver(claim, second)).toMatchObject({ is: 'certified' })
  })

  it('backs off exponentially, with jitter, up to a limit', () => {
    expect([0, 1, 2, 10, 5000].map((attempt) => backoffMs(DEFAULT_TIMINGS, attempt, 0.5))).toEqual([
      100, 200, 400, 8000, 8000,
    ])
    expect([0, 0.999].map((fraction) => Math.round(backoffMs(DEFAULT_TIMINGS, 0, fraction)))).toEqual([50, 150])
  })
})

describe('[L2.5] validity by the fastest clock', () => {
  it.each(['monoMs', 'bootMs', 'wallMs'] as const)('%s alone ends it', (clock) => {
    const arena = new Arena(1)
    const claim = held(arena)
    const at = (ms: number) => ({ ...arena.now, [clock]: arena.now[clock] + ms })
    expect([claim.isValid(at(margin * holdMs - 1)), claim.isValid(at(margin * holdMs))]).toEqual([true, false])
  })

  it('[I1] a holder that slept does not believe in its lease when the voters have given it to another', () => {
    const arena = new Arena(3)
    const claim = renewed(arena)
    arena.suspend(ttlMs)
    expect(arena.exchange(arena.claim(22, { token: { epoch: 1, n: 2 } }))).toEqual(['certified'])
    expect(claim.isValid(arena.now)).toBe(false)
  })
})

describe('[L2.5] renew', () => {
  it('follows the first grant soon and then every third of the length, with the same token', () => {
    const arena = new Arena(1)
    const claim = renewed(arena)
    const due = claim.dueMs(arena.now)
    expect(due - arena.now.monoMs).toBeGreaterThanOrEqual(ttlMs / 3)
    expect(due - arena.now.monoMs).toBeLessThan(ttlMs / 3 + DEFAULT_TIMINGS.renewGridMs)
    arena.advance(due - arena.now.monoMs)
    const { request } = claim.poll(arena.now).send!
    expect(request.body).toMatchObject({ seq: 2, ttl: ttlMs, token: claim.spec.token })
  })

  it('has one unanswered sequence number under way at most', () => {
    const arena = new Arena(1)
    const claim = held(arena)
    arena.advance(firstRenewMs)
    const seqs = []
    for (let ms = 0; ms < requestTimeoutMs; ms += 100) {
      seqs.push(claim.poll(arena.now).send?.request.body.seq)
      arena.advance(100)
    }
    expect(new Set(seqs.filter((seq) => seq !== undefined))).toEqual(new Set([1]))
  })

  it('repeats a failed round with a new sequence number while the lease is still valid', () => {
    const arena = new Arena(1)
    const claim = renewed(arena)
    arena.advance(20_000)
    const first = claim.poll(arena.now).send!.request.body
    arena.advance(requestTimeoutMs)
    expect(claim.poll(arena.now)).toEqual({})
    arena.advance(650) // between 0.3 and 1 s, at half of the jitter
    expect(claim.poll(arena.now).send!.request.body).toMatchObject({ seq: first.seq + 1, token: first.token })
    expect(claim.isValid(arena.now)).toBe(true)
  })

  it('a round that ends earlier than what is held does not shorten it', () => {
    const arena = new Arena(1)
    const claim = arena.claim(21, { timings: { ...DEFAULT_TIMINGS, ttlMs: 2000, holdMs: 10_000 } })
    arena.exchange(claim)
    arena.advance(claim.dueMs(arena.now) - arena.now.monoMs)
    const before = arena.now
    expect(arena.exchange(claim)).toEqual(['renewed'])
    const at = { ...before, monoMs: before.monoMs + 2000 }
    expect(claim.isValid(at)).toBe(true)
  })

  it('carries a new description', () => {
    const arena = new Arena(1)
    const claim = held(arena)
    claim.describe({ instanceId: 'agent-21', untilMs: 77 })
    arena.advance(firstRenewMs)
    expect(claim.poll(arena.now).send!.request.body.info.untilMs).toBe(77)
  })

  it('sequence numbers begin where the process says and grow', () => {
    const arena = new Arena(1)
    const claim = arena.claim(21, { firstSeq: 3 * 2 ** 20 })
    expect(claim.poll(arena.now).send!.request.body.seq).toBe(3 * 2 ** 20)
  })

  it('stops when the release begins', () => {
    const arena = new Arena(1)
    const claim = renewed(arena)
    arena.release(claim)
    arena.advance(ttlMs)
    expect([claim.poll(arena.now), claim.dueMs(arena.now), claim.isValid(arena.now)]).toEqual([{}, Infinity, false])
  })
})

describe('[L2.5] lapse', () => {
  it('suspends, then resumes with the short hold and the same token when nobody came in between', () => {
    const arena = new Arena(3)
    const claim = renewed(arena)
    arena.suspend(ttlMs)
    const { event, send } = claim.poll(arena.now)
    expect(event).toEqual({ is: 'suspended' })
    expect(send!.request.body).toMatchObject({ ttl: holdMs, token: claim.spec.token })
    for (const voter of [0, 1]) arena.deliver(claim, reply(arena, voter, send!.request)!)
    expect(claim.isValid(arena.now)).toBe(true)
  })

  it('[I2b] is lost after three rounds when somebody did', () => {
    const arena = new Arena(3)
    const claim = renewed(arena)
    arena.suspend(ttlMs)
    const other = arena.claim(22, { token: { epoch: 1, n: 2 } })
    arena.exchange(other)
    arena.release(other)
    const events: string[][] = []
    for (let round = 0; round < 4; round++) {
      events.push(arena.exchange(claim))
      arena.advance(1000)
    }
    expect(events).toEqual([['suspended'], [], ['lost'], []])
    expect(claim.isValid(arena.now)).toBe(false)
  })

  it('is lost after three unanswered rounds', () => {
    const arena = new Arena(1)
    const claim = renewed(arena)
    arena.suspend(ttlMs)
    const events: string[] = []
    let transmissions = new Set<number>()
    for (let ms = 0; ms < 20_000; ms += 100) {
      const { event, send } = claim.poll(arena.now)
      if (event) events.push(event.is)
      if (send) transmissions = transmissions.add(send.request.body.seq)
      arena.advance(100)
    }
    expect([events, transmissions.size]).toEqual([['suspended', 'lost'], 3])
  })

  it('tells when it will lapse, so that it does not go unnoticed', () => {
    const arena = new Arena(1)
    const claim = renewed(arena)
    arena.advance(20_000)
    claim.poll(arena.now) // a renewal that nobody answers
    arena.advance(claim.dueMs(arena.now) - arena.now.monoMs)
    expect(claim.dueMs(arena.now)).toBeLessThanOrEqual(arena.now.monoMs + margin * ttlMs)
  })

  it('an answer to a renewal from before the lapse changes nothing', () => {
    const arena = new Arena(1)
    const claim = renewed(arena)
    arena.advance(20_000)
    const grant = arena.grantOf(0, claim.poll(arena.now).send!.request)
    arena.suspend(ttlMs)
    expect(claim.poll(arena.now).send!.request.body).toMatchObject({ seq: grant.body.seq + 1, ttl: holdMs })
    expect(arena.deliver(claim, grant)).toBeUndefined()
    expect(claim.isValid(arena.now)).toBe(false)
  })
})

describe('[I2] tokens', () => {
  it('grow over the holders of one path; a claimant that is behind learns the smallest that would do', () => {
    const arena = new Arena(3)
    const tokens: number[] = []
    let known = 0
    for (const by of [21, 22, 23, 24]) {
      const behind = arena.claim(by, { lid: hex(by + 100), token: { epoch: 1, n: 1 } })
      const events = arena.exchange(behind)
      if (events[0] === 'refused') known = behind.standing().denies[0]!.min!.n - 1
      const claim = events[0] === 'certified' ? behind : arena.claim(by, { token: { epoch: 1, n: known + 1 } })
      if (claim !== behind) arena.exchange(claim)
      tokens.push(claim.spec.token.n)
      expect(claim.isValid(arena.now)).toBe(true)
      arena.release(claim)
    }
    expect(tokens).toEqual([1, 2, 3, 4])
  })

  it('two owners never hold overlapping leases at once, in whatever order the votes fall', () => {
    for (let order = 0; order < 64; order++) {
      const arena = new Arena(3)
      const claims = [arena.claim(21), arena.claim(22, { res: [path('a', 'subtree')] })]
      const requests = claims.map((claim) => claim.poll(arena.now).send!.request)
      for (let voter = 0; voter < 3; voter++) {
        const first = (order >> voter) & 1
        for (const who of [first, 1 - first]) arena.deliver(claims[who]!, reply(arena, voter, requests[who]!)!)
      }
      expect(claims.filter((claim) => claim.isValid(arena.now))).toHaveLength(1)
    }
  })
})
