import { describe, expect, it } from 'vitest'
import type { Channel } from '../../../../node/ports/peer-network.ts'
import { ok } from '../../../../crdt/result.ts'
import { MeshId } from '../../../../crdt/ids.ts'
import { adoptMesh } from '../../../../node/services/membership/membership-service.ts'
import { createFrameReader } from '../../../../node/services/membership/channel-dialogue.ts'
import { JOINS_AT_ONCE_MAX } from '../../../../node/services/membership/join-service.ts'
import { decodeCanonical, encodeCanonical } from '../../../../protocols/codec.ts'
import {
  JOIN_DEADLINE_MS,
  JOIN_LOG_PROTOCOL,
  JOIN_PROTOCOL,
  JoinAnswer,
  JoinHello,
  signJoinRequest,
} from '../../../../protocols/join.ts'
import { createSigner } from '../../../../node/adapters/node-crypto.ts'
import { createManualClock, settle } from '../../../support/clock.ts'
import { createRateLimiter } from '../../../../node/services/rate-limit.ts'
import { crypto, identity } from '../../../support/identity.ts'
import { addNode, boxKeyOf, codeOf, createLab, hexes, join, type Lab, never, ticketFrom } from './mesh-lab.ts'

/** A stranger that speaks the join protocol by hand. */
async function knock(lab: Lab, n: number): Promise<{ channel: Channel; next: () => Promise<Uint8Array> }> {
  const port = lab.network.join(identity(n).peer)
  lab.network.connect(identity(n).peer, identity(0).peer)
  const channel = await port.open(identity(0).peer, JOIN_PROTOCOL, never)
  const frames = createFrameReader(channel)
  return { channel, next: () => frames.next() }
}

const hello = (frame: Uint8Array) => decodeCanonical(JoinHello, frame, 1024)
const answer = (frame: Uint8Array) => decodeCanonical(JoinAnswer, frame, 1024)

describe('joining a mesh', () => {
  it('[M8] admits the holder of a ticket, who gets the whole log back to the genesis', async () => {
    const lab = createLab()
    const home = await lab.founder()
    const ticket = await ticketFrom(lab, home.mesh.invite({ capabilities: ['run', 'store'] }))
    const joined = await join(lab, 1, ticket)
    expect(joined).toMatchObject({ ok: true, value: { mesh: home.membership.mesh } })
    expect(joined.ok && hexes(joined.value.records)).toEqual(hexes(home.membership.all()))
    const member = home.membership.current().members.get(identity(1).peer)
    expect({ ...member, capabilities: [...(member?.capabilities ?? [])] }).toEqual({
      peer: identity(1).peer,
      name: 'node 1',
      boxKey: boxKeyOf(1),
      capabilities: ['run', 'store'],
      seniority: 1,
    })
  })

  it('gives a name to one member only: the next who has it gets a number, within the limit of a name', async () => {
    const lab = createLab()
    const home = await lab.founder()
    const long = '𝔫'.repeat(32)
    for (const [i, name] of ['box', 'box', 'box', long, long].entries()) {
      const ticket = await ticketFrom(lab, home.mesh.invite({}))
      expect(codeOf(await join(lab, i + 1, ticket, { name }))).toBe('ok')
    }
    const names = [...home.membership.current().members.values()].map(({ name }) => name)
    expect(names.slice(1)).toEqual(['box', 'box-2', 'box-3', long, `${'𝔫'.repeat(31)}-2`])
  })

  it('[A-T6] lets exactly one of 20 parallel uses of a ticket succeed', async () => {
    const lab = createLab()
    const home = await lab.founder()
    const ticket = await ticketFrom(lab, home.mesh.invite({}))
    const results = await Promise.all(Array.from({ length: 20 }, (_, i) => join(lab, i + 1, ticket)))
    expect(results.map(codeOf).toSorted()).toEqual(['ok', ...Array.from({ length: 19 }, () => 'ticket_used')])
    expect(home.membership.current().members.size).toBe(2)
  })

  it('[M8] gives the same joiner the same answer again, and takes no second record', async () => {
    const lab = createLab()
    const home = await lab.founder()
    const ticket = await ticketFrom(lab, home.mesh.invite({}))
    const first = await join(lab, 1, ticket)
    const length = home.membership.all().length
    expect(await join(lab, 1, ticket)).toEqual(first)
    expect(home.membership.all().length).toBe(length)
    expect(codeOf(await join(lab, 2, ticket))).toBe('ticket_used')
  })

  it('[M8] [M14] admits no member a second time: its store may be lost, and its numbers used already', async () => {
    const lab = createLab()
    const home = await lab.founder()
    const [ticket, other] = [await ticketFrom(lab, home.mesh.invite({})), await ticketFrom(lab, home.mesh.invite({}))]
    expect(codeOf(await join(lab, 1, ticket))).toBe('ok')
    const length = home.membership.all().length
    expect(codeOf(await join(lab, 1, other))).toBe('forbidden')
    expect(home.membership.all().length).toBe(length)
    expect(codeOf(await join(lab, 2, other))).toBe('ok')
  })

  it('[M8] refuses an expired ticket by the clock of the inviter', async () => {
    const lab = createLab()
    const home = await lab.founder()
    const ticket = await ticketFrom(lab, home.mesh.invite({ expiresInMs: 1000 }))
    lab.clock.stepWall(1001)
    expect(codeOf(await join(lab, 1, ticket))).toBe('ticket_expired')
    lab.clock.stepWall(-1)
    expect(codeOf(await join(lab, 1, ticket))).toBe('ok')
  })

  it('[M8] refuses a revoked ticket, one that was never made and one of another mesh', async () => {
    const lab = createLab()
    const home = await lab.founder()
    const ticket = await ticketFrom(lab, home.mesh.invite({}))
    const invite = ticket.invite.slice()
    await home.membership.author(() => ok({ type: 'revokeInvite', invite }))
    expect(codeOf(await join(lab, 1, ticket))).toBe('ticket_invalid')
    expect(codeOf(await join(lab, 1, { ...ticket, invite: new Uint8Array(32) }))).toBe('ticket_invalid')
    const mesh = MeshId.parse('ab'.repeat(32))
    expect(codeOf(await join(lab, 1, { ...ticket, mesh }))).toBe('ticket_other_mesh')
  })

  it('[M8] tells nobody without the invite key what became of an invite', async () => {
    const lab = createLab()
    const home = await lab.founder()
    const ticket = await ticketFrom(lab, home.mesh.invite({}))
    await join(lab, 1, ticket)
    const guess = { ...ticket, inviteSeed: new Uint8Array(32) }
    const results = [await join(lab, 2, guess), await join(lab, 2, { ...guess, invite: new Uint8Array(32) })]
    expect(results[0]).toEqual(results[1])
    expect(codeOf(results[0]!)).toBe('ticket_invalid')
  })

  it('[M7] refuses a key that was removed, with any ticket', async () => {
    const lab = createLab()
    const home = await lab.founder()
    await addNode(lab, home, 1)
    await home.mesh.remove('node 1')
    const ticket = await ticketFrom(lab, home.mesh.invite({}))
    expect(codeOf(await join(lab, 1, ticket))).toBe('forbidden')
    expect(codeOf(await join(lab, 2, ticket))).toBe('ok')
  })

  it("[M8] refuses another member's invite: its maker is the one to honour it", async () => {
    const lab = createLab()
    const home = await lab.founder()
    const guest = await addNode(lab, home, 1, ['admit', 'run'])
    const ticket = await ticketFrom(lab, guest.mesh.invite({ capabilities: ['run'] }))
    await home.membership.receive(guest.membership.all())
    expect(await join(lab, 2, { ...ticket, inviter: identity(0).peer })).toMatchObject({
      ok: false,
      error: { code: 'ticket_invalid', message: 'The inviter does not accept this ticket.' },
    })
  })

  it('[M8] says when the inviter cannot be reached, cannot write, or we gave up', async () => {
    const lab = createLab()
    const home = await lab.founder()
    const ticket = await ticketFrom(lab, home.mesh.invite({}))
    expect(codeOf(await join(lab, 1, { ...ticket, inviter: identity(5).peer }))).toBe('inviter_unreachable')
    home.deps.store.failWith(new Error('disk full'))
    expect(codeOf(await join(lab, 1, ticket))).toBe('inviter_unreachable')
    home.deps.store.failWith(undefined)
    const gone = AbortSignal.abort()
    expect(codeOf(await join(lab, 1, ticket, { signal: gone }))).toBe('cancelled')
    expect(codeOf(await join(lab, 1, ticket))).toBe('ok')
  })

  it('[M8] gives up in the middle when told to', async () => {
    const lab = createLab()
    const home = await lab.founder()
    const ticket = await ticketFrom(lab, home.mesh.invite({}))
    const stop = new AbortController()
    home.deps.store.hold()
    const joining = join(lab, 1, ticket, { signal: stop.signal })
    await settle()
    stop.abort()
    expect(codeOf(await joining)).toBe('cancelled')
    home.deps.store.release()
  })

  it('[M8] does not believe a log that leads elsewhere or does not have us as we are', async () => {
    const lab = createLab()
    const home = await lab.founder()
    const ticket = await ticketFrom(lab, home.mesh.invite({}))
    expect(codeOf(await join(lab, 1, ticket))).toBe('ok')
    expect(codeOf(await join(lab, 1, ticket, { boxKey: boxKeyOf(9) }))).toBe('ticket_invalid')
    const liar = lab.network.join(identity(3).peer)
    const options = { policy: { who: 'anyone' }, frameBytesMax: 1 << 20, channelsPerPeerMax: 1 } as const
    liar.handle(JOIN_PROTOCOL, options, async (channel) => {
      const frames = createFrameReader(channel)
      await channel.send(encodeCanonical({ v: 1, type: 'hello', nonce: new Uint8Array(32) }))
      await frames.next()
      await channel.send(encodeCanonical({ v: 1, type: 'admitted' }))
    })
    const { mesh } = home.membership
    const whole = home.membership.all()
    const frame = (records: readonly Uint8Array[], isLast = true) => encodeCanonical({ v: 1, records, isLast })
    let lie: Uint8Array = new Uint8Array()
    liar.handle(JOIN_LOG_PROTOCOL, options, (channel) => channel.send(lie))
    const results: string[] = []
    const lies = [
      frame(whole.slice(0, 1)),
      frame(whole.slice(1)),
      frame([new Uint8Array(3)]),
      frame([], false),
      Uint8Array.of(0xff),
    ]
    for (const next of lies) {
      lie = next
      results.push(codeOf(await join(lab, 4, { ...ticket, mesh, inviter: identity(3).peer })))
    }
    expect(results).toEqual([
      'ticket_invalid',
      'ticket_other_mesh',
      'ticket_other_mesh',
      'inviter_unreachable',
      'inviter_unreachable',
    ])
  })

  it('[M8] sends a long log in several frames', async () => {
    const lab = createLab()
    const home = await lab.founder()
    const cuts = Object.fromEntries(
      Array.from({ length: 1000 }, (_, i) => {
        const doc = `project/00000000-0000-4000-8000-${String(i).padStart(12, '0')}`
        return [doc, { seq: i, hash: new Uint8Array(32) }]
      }),
    )
    for (let i = 10; i < 14; i++)
      await home.membership.author(() => ok({ type: 'remove', peer: identity(i).peer, cuts }))
    const guest = await addNode(lab, home, 1)
    expect(hexes(guest.membership.all())).toEqual(hexes(home.membership.all()))
    const port = lab.network.join(identity(1).peer)
    lab.network.connect(identity(0).peer, identity(1).peer)
    let frames = 0
    for await (const _ of (await port.open(identity(0).peer, JOIN_LOG_PROTOCOL, never)).frames) frames++
    expect(frames).toBeGreaterThan(3)
  })

  it('[A-M1] gives the log to members only', async () => {
    const lab = createLab()
    await lab.founder()
    const port = lab.network.join(identity(1).peer)
    lab.network.connect(identity(0).peer, identity(1).peer)
    await expect(port.open(identity(0).peer, JOIN_LOG_PROTOCOL, never)).rejects.toThrow('refuses')
  })

  it('[M20] puts a mesh on another disk that restarts as the same member', async () => {
    const lab = createLab()
    const home = await lab.founder()
    const ticket = await ticketFrom(lab, home.mesh.invite({}))
    const joined = await join(lab, 1, ticket)
    const adopted = await adoptMesh(lab.depsOf(1), joined.ok ? joined.value.records : [], ticket.mesh)
    expect(adopted.ok && adopted.value.current().members.has(identity(1).peer)).toBe(true)
  })
})

describe('the door for strangers', () => {
  it('[M8] binds the request to the nonce, the inviter and the key at the other end', async () => {
    const lab = createLab()
    const home = await lab.founder()
    const ticket = await ticketFrom(lab, home.mesh.invite({}))
    const sign = (n: number, nonce: Uint8Array, inviter = ticket.inviter) =>
      signJoinRequest(
        crypto,
        { node: identity(n), invite: createSigner(ticket.inviteSeed) },
        { ...ticket, inviter },
        { name: 'x', boxKey: boxKeyOf(n), nonce },
      )
    const attempts: ((nonce: Uint8Array) => object)[] = [
      () => sign(1, new Uint8Array(32)),
      (nonce) => ({ ...sign(1, new Uint8Array(32)), nonce }),
      (nonce) => sign(2, nonce),
      (nonce) => sign(1, nonce, identity(5).peer),
      (nonce) => ({ ...sign(1, nonce), name: 'y' }),
      (nonce) => ({ ...sign(1, nonce), name: 'a\u001b[2J' }),
      () => ({}),
    ]
    const answers: unknown[] = []
    for (const attempt of attempts) {
      const { channel, next } = await knock(lab, 1)
      const first = hello(await next())
      await channel.send(encodeCanonical(attempt(first.type === 'hello' ? first.nonce : new Uint8Array(32))))
      answers.push(answer(await next()))
      await channel.close()
      await settle() // one at a time is let in
    }
    expect(answers).toEqual(attempts.map(() => ({ v: 1, type: 'refused', why: 'malformed' })))
    expect(home.membership.current().members.size).toBe(1)
  })

  it('[M8] cuts a stranger off that says nothing for ten seconds', async () => {
    const lab = createLab()
    await lab.founder()
    const { next } = await knock(lab, 1)
    await next()
    let end: string | undefined
    const silence = next().catch((error: Error) => {
      end = error.message
    })
    await lab.clock.advance(JOIN_DEADLINE_MS - 1)
    expect(end).toBeUndefined()
    await lab.clock.advance(1)
    await silence
    expect(end).toBe('aborted by the other side')
  })

  it('[A-D1] limits attempts per peer, and lets it try again later', async () => {
    const lab = createLab()
    const home = await lab.founder()
    const ticket = await ticketFrom(lab, home.mesh.invite({}))
    const wrong = { ...ticket, invite: new Uint8Array(32) }
    for (let i = 0; i < 10; i++) expect(codeOf(await join(lab, 1, wrong))).toBe('ticket_invalid')
    expect(await join(lab, 1, ticket)).toMatchObject({
      ok: false,
      error: { code: 'rate_limited', details: { retryAfterMs: 6000 } },
    })
    expect(codeOf(await join(lab, 2, wrong))).toBe('ticket_invalid')
    await lab.clock.advance(6000)
    expect(codeOf(await join(lab, 1, ticket))).toBe('ok')
  })

  it('[A-D1] limits attempts per address, whatever the number of keys', async () => {
    const lab = createLab()
    const home = await lab.founder()
    const wrong = { ...(await ticketFrom(lab, home.mesh.invite({}))), invite: new Uint8Array(32) }
    const codes: string[] = []
    for (let n = 1; n <= 61; n++) codes.push(codeOf(await join(lab, n, wrong)))
    expect(codes).toEqual([...Array.from({ length: 60 }, () => 'ticket_invalid'), 'rate_limited'])
  })

  it('[A-D1] limits attempts of all together, whatever the number of keys and addresses', async () => {
    const lab = createLab()
    const home = await lab.founder((from) => `address of ${from}`)
    const wrong = { ...(await ticketFrom(lab, home.mesh.invite({}))), invite: new Uint8Array(32) }
    const codes = new Map<string, number>()
    for (let n = 1; n <= 250; n++) {
      const code = codeOf(await join(lab, n, wrong))
      codes.set(code, (codes.get(code) ?? 0) + 1)
    }
    expect([...codes]).toEqual([
      ['ticket_invalid', 240],
      ['rate_limited', 10],
    ])
  })

  it('[A-D1] remembers only so many sources', () => {
    const clock = createManualClock()
    const limiter = createRateLimiter(clock, { count: 1, perMs: 1000, keysMax: 2 })
    expect(['a', 'b', 'a', 'c', 'b', 'a'].map((key) => limiter.take(key))).toEqual([
      undefined,
      undefined,
      1000,
      undefined,
      undefined, // `b` was used longest ago and forgotten for `c`
      undefined,
    ])
  })

  it('[A-D1] lets only so many strangers in at once', async () => {
    const lab = createLab()
    await lab.founder()
    for (let n = 1; n <= JOINS_AT_ONCE_MAX; n++) expect(hello(await (await knock(lab, n)).next()).type).toBe('hello')
    expect(hello(await (await knock(lab, 99)).next())).toEqual({
      v: 1,
      type: 'refused',
      why: 'rate_limited',
      retryAfterMs: 1000,
    })
    await lab.clock.advance(JOIN_DEADLINE_MS)
    expect(hello(await (await knock(lab, 99)).next()).type).toBe('hello')
  })
})
