import { z } from 'zod'
import { describe, expect, it, vi } from 'vitest'
import type { Actor } from '../../../../crdt/actor.ts'
import type { Capability } from '../../../../crdt/capability.ts'
import { domainError } from '../../../../crdt/errors.ts'
import { err, ok } from '../../../../crdt/result.ts'
import { createRpc, type RpcDeps } from '../../../../node/services/rpc/rpc-service.ts'
import type { RpcMethod } from '../../../../node/services/rpc/rpc.ts'
import { encodeRpc, RPC_PROTOCOL } from '../../../../protocols/rpc.ts'
import { createManualClock, settle } from '../../../support/clock.ts'
import { identity } from '../../../support/identity.ts'
import { createRecordedLog } from '../../../support/log.ts'
import { createMemoryNetwork } from '../../../support/memory-network.ts'

const [A, B] = [identity(1).peer, identity(2).peer]
const actor: Actor = { kind: 'user', id: 'u1', tokenId: 't1', abilities: ['*'], gateway: A }

/** Two connected nodes; `capabilities` says what each member may do. */
function createLab(capabilities: Record<string, Capability[]> = { [A]: ['control'], [B]: ['run'] }) {
  const clock = createManualClock()
  const network = createMemoryNetwork()
  const log = createRecordedLog()
  const audited: string[] = []
  const has: RpcDeps['hasCapability'] = (peer, capability) => capabilities[peer]?.includes(capability) ?? false
  const [portA, portB] = [
    network.join(A),
    network.join(B, (from, { policy }) => !('capability' in policy) || has(from, policy.capability ?? 'control')),
  ]
  const onRequest: RpcDeps['onRequest'] = (from, method, who, refused) =>
    void audited.push(`${from === A ? 'a' : 'b'} ${method} ${who.id}${refused === undefined ? '' : ' refused'}`)
  const complaints: string[] = []
  const onMisconduct = (peer: string, what: string): void => void complaints.push(`${peer} ${what}`)
  const shared = { clock, log, hasCapability: has, onRequest, onMisconduct }
  const a = createRpc({ network: portA, ...shared })
  const b = createRpc({ network: portB, ...shared })
  network.connect(A, B)
  return { a, b, clock, network, log, audited, portA, complaints }
}

const double: RpcMethod<z.ZodObject<{ n: z.ZodNumber }>, { twice: number }> = {
  name: 'double',
  input: z.object({ n: z.number() }),
  run: async (_actor, { n }) => ok({ twice: n * 2 }),
}
const reply = z.object({ twice: z.number() })
const ask = { actor, input: { n: 21 }, reply }

describe('rpc', () => {
  it('asks another member and ourselves alike', async () => {
    const { a, b, audited } = createLab()
    for (const node of [a, b]) node.serve(double)
    expect([await a.call(B, 'double', ask), await a.call(A, 'double', ask)]).toEqual([
      ok({ twice: 42 }),
      ok({ twice: 42 }),
    ])
    expect(audited).toEqual(['a double u1', 'a double u1'])
  })

  it('answers many calls on one channel, each with its own answer', async () => {
    const { a, b } = createLab()
    b.serve(double)
    const answers = await Promise.all(
      Array.from({ length: 30 }, (_, n) => a.call(B, 'double', { ...ask, input: { n } })),
    )
    expect(answers).toEqual(Array.from({ length: 30 }, (_, n) => ok({ twice: n * 2 })))
  })

  it('closes a channel that nobody uses for a minute, and opens another when it is needed', async () => {
    const { a, b, clock, portA } = createLab()
    b.serve(double)
    const open = vi.spyOn(portA, 'open')
    await a.call(B, 'double', ask)
    await clock.advance(59_000)
    await a.call(B, 'double', ask)
    await clock.advance(59_000)
    expect(open).toHaveBeenCalledTimes(1)
    const channel = await open.mock.results[0]?.value
    const close = vi.spyOn(channel, 'close')
    await clock.advance(1000)
    expect(close).toHaveBeenCalledTimes(1)
    await expect(a.call(B, 'double', ask)).resolves.toEqual(ok({ twice: 42 }))
    expect(open).toHaveBeenCalledTimes(2)
  })

  it('keeps a channel on which somebody waits for an answer', async () => {
    const { a, b, clock } = createLab()
    const answered = Promise.withResolvers<void>()
    b.serve({ ...double, run: async (_actor, { n }) => (await answered.promise, ok({ twice: n * 2 })) })
    const slow = a.call(B, 'double', { ...ask, timeoutMs: 600_000 })
    const quick = a.call(B, 'nonsense', ask)
    await quick
    await clock.advance(120_000)
    answered.resolve()
    await expect(slow).resolves.toEqual(ok({ twice: 42 }))
  })

  it('[A-D1] reads one member so fast and no faster, and names it', async () => {
    const { a, b, clock, complaints } = createLab()
    b.serve(double)
    for (let i = 0; i < 1000; i++) expect((await a.call(B, 'double', ask)).ok).toBe(true)
    expect(complaints).toEqual([])
    const late = a.call(B, 'double', ask)
    await settle()
    expect(complaints).toEqual([`${A} asks for more than this node does for one member (rpc): slowed down`])
    await clock.advance(10)
    expect(await late).toEqual(ok({ twice: 42 }))
  })

  it('[A-D1] writes so many refused calls of one member a minute to the audit and no more', async () => {
    const { a, audited, clock, complaints } = createLab()
    const calls = Array.from({ length: 30 }, () => a.call(B, 'unknown', ask))
    await Promise.all(calls)
    await Promise.all(Array.from({ length: 30 }, () => a.call(B, 'unknown', ask)))
    expect([audited.length, complaints.length]).toEqual([60, 0])
    const late = a.call(B, 'unknown', ask)
    await settle()
    expect([audited.length, complaints.length]).toEqual([60, 1])
    await clock.advance(1000)
    expect(await late).toMatchObject({ ok: false, error: { code: 'machine_refused' } })
  })

  it('hands on refusals of the method with their details', async () => {
    const { a, b } = createLab()
    const refusal = domainError('task_claimed', { details: { holder: { instanceId: 'x' }, retryAfterMs: 5 } })
    b.serve({ ...double, run: async () => err(refusal) })
    await expect(a.call(B, 'double', ask)).resolves.toEqual(err(refusal))
  })

  it.each([['another member'], ['ourselves']])('checks the input before audit and method: %s', async (who) => {
    const { a, b, audited } = createLab()
    for (const node of [a, b]) node.serve(double)
    const answer = await a.call(who === 'ourselves' ? A : B, 'double', { ...ask, input: { n: 'many' } })
    expect(answer).toMatchObject({
      ok: false,
      error: { code: 'invalid_input', details: { fields: { n: expect.anything() } } },
    })
    expect(audited).toEqual([])
  })

  it('is offline at once when the member is not connected, and when it is lost in the middle', async () => {
    const { a, b, network } = createLab()
    b.serve({ ...double, run: () => new Promise(() => undefined) })
    const lost = a.call(B, 'double', ask)
    await settle()
    network.disconnect(A, B)
    await expect(lost).resolves.toMatchObject({ ok: false, error: { code: 'machine_offline' } })
    await expect(a.call(B, 'double', ask)).resolves.toEqual(err(domainError('machine_offline')))
    network.connect(A, B)
    const again = a.call(B, 'double', { ...ask, timeoutMs: 1 })
    await settle()
    network.disconnect(A, B)
    await expect(again).resolves.toMatchObject({ ok: false, error: { code: 'machine_offline' } })
  })

  it('[A-M3] refuses a member without `control` before anything is read', async () => {
    const { a, b, audited } = createLab({ [A]: [], [B]: ['run'] })
    b.serve(double)
    await expect(a.call(B, 'double', ask)).resolves.toEqual(err(domainError('machine_refused')))
    expect(audited).toEqual([])
  })

  const may: Record<string, Capability[]> = { [A]: ['control'], [B]: ['run'] }
  it.each<{
    what: string
    capabilities: Record<string, Capability[]>
    change: { capability?: Capability }
    who: Actor
    why: string
  }>([
    { what: 'a machine without `run`', capabilities: { ...may, [B]: [] }, change: {}, who: actor, why: 'may not run' },
    { what: 'a call that needs `admin`', capabilities: may, change: { capability: 'admin' }, who: actor, why: 'admin' },
    {
      what: 'an actor of another gateway',
      capabilities: may,
      change: {},
      who: { ...actor, gateway: B },
      why: 'authenti',
    },
  ])('refuses and audits: $what', async ({ capabilities, change, who, why }) => {
    const { a, b, audited } = createLab(capabilities)
    b.serve({ ...double, ...change })
    const answer = await a.call(B, 'double', { ...ask, actor: who })
    expect(answer).toMatchObject({
      ok: false,
      error: { code: 'machine_refused', message: expect.stringContaining(why) },
    })
    expect(audited).toEqual(['a double u1 refused'])
  })

  it('answers what is only told on a machine without `run`', async () => {
    const { a, b } = createLab({ [A]: ['control'], [B]: [] })
    b.serve({ ...double, needsRun: false })
    await expect(a.call(B, 'double', ask)).resolves.toEqual(ok({ twice: 42 }))
  })

  it('says clearly that a method is not known', async () => {
    const { a } = createLab()
    await expect(a.call(B, 'fly', ask)).resolves.toMatchObject({
      ok: false,
      error: { code: 'machine_refused', message: "This machine's release does not know the method fly." },
    })
  })

  it('gives up after 10 s or what the call says, and tells the other side', async () => {
    const { a, b, clock } = createLab()
    const signals: AbortSignal[] = []
    b.serve({ ...double, run: (_actor, _input, _from, signal) => new Promise(() => void signals.push(signal)) })
    const [usual, short] = [a.call(B, 'double', ask), a.call(B, 'double', { ...ask, timeoutMs: 500 })]
    await clock.advance(500)
    await expect(short).resolves.toMatchObject({ error: { message: 'The machine did not answer within 0.5 s.' } })
    expect(signals.map(({ aborted }) => aborted)).toEqual([false, true])
    await clock.advance(9500)
    await expect(usual).resolves.toMatchObject({ error: { code: 'machine_offline' } })
    await settle()
    expect(signals.map(({ aborted }) => aborted)).toEqual([true, true])
  })

  it('cancels with the caller’s signal, here and there', async () => {
    const { a, b } = createLab()
    const cancelled = Promise.withResolvers<void>()
    b.serve({
      ...double,
      run: (_actor, _input, _from, signal) =>
        new Promise(() => signal.addEventListener('abort', () => cancelled.resolve())),
    })
    const stop = new AbortController()
    const call = a.call(B, 'double', { ...ask, signal: stop.signal })
    await settle()
    stop.abort()
    await expect(call).resolves.toEqual(err(domainError('cancelled')))
    await cancelled.promise
    await expect(a.call(B, 'double', { ...ask, signal: stop.signal })).resolves.toEqual(err(domainError('cancelled')))
  })

  it('aborts the work of a caller who is gone', async () => {
    const { a, b, network } = createLab()
    const gone = Promise.withResolvers<void>()
    b.serve({
      ...double,
      run: (_actor, _input, _from, signal) => new Promise(() => signal.addEventListener('abort', () => gone.resolve())),
    })
    void a.call(B, 'double', ask)
    await settle()
    network.disconnect(A, B)
    await expect(gone.promise).resolves.toBeUndefined()
  })

  it('works on 32 requests of one peer at a time and refuses more', async () => {
    const { a, b } = createLab()
    const release = Promise.withResolvers<void>()
    b.serve({
      ...double,
      run: async (_actor, { n }) => {
        await release.promise
        return ok({ twice: n })
      },
    })
    const calls = Array.from({ length: 33 }, () => a.call(B, 'double', ask))
    await settle()
    release.resolve()
    const answers = await Promise.all(calls)
    expect(answers.filter(({ ok: isOk }) => isOk)).toHaveLength(32)
    expect(answers.at(-1)).toEqual(err(domainError('rate_limited')))
  })

  it('refuses requests and answers above 1 MB, and keeps the channel', async () => {
    const { a, b } = createLab()
    b.serve({ name: 'big', input: z.unknown(), run: async () => ok('x'.repeat(1024 * 1024)) })
    b.serve(double)
    const tooLarge = err(domainError('too_large'))
    await expect(a.call(B, 'big', { ...ask, input: 'x'.repeat(1024 * 1024) })).resolves.toEqual(tooLarge)
    await expect(a.call(B, 'big', { ...ask, input: 1 })).resolves.toEqual(tooLarge)
    await expect(a.call(B, 'double', ask)).resolves.toEqual(ok({ twice: 42 }))
  })

  it('says `internal` and logs when a method throws', async () => {
    const { a, b, log } = createLab()
    b.serve({
      ...double,
      run: async () => {
        throw new Error('a bug')
      },
    })
    await expect(a.call(B, 'double', ask)).resolves.toEqual(err(domainError('internal')))
    expect(log.lines).toContainEqual({
      level: 'error',
      fields: { peer: A, method: 'double', error: 'Error: a bug' },
      message: 'rpc method failed',
    })
  })

  it('does not run a method whose audit fails', async () => {
    const network = createMemoryNetwork()
    const ran: string[] = []
    const rpc = createRpc({
      network: network.join(A),
      clock: createManualClock(),
      log: createRecordedLog(),
      hasCapability: () => true,
      onRequest: () => Promise.reject(new Error('disk full')),
    })
    rpc.serve({ ...double, run: async () => ok({ twice: ran.push('ran') }) })
    await expect(rpc.call(A, 'double', ask)).rejects.toThrow('disk full')
    expect(ran).toEqual([])
  })

  it('hangs up on nonsense and on a request id used twice', async () => {
    const { b, portA } = createLab()
    b.serve({ ...double, run: () => new Promise(() => undefined) })
    const request = encodeRpc({ v: 1, id: 1, method: 'double', actor, input: { n: 1 } })
    for (const frames of [[new Uint8Array([1])], [request, request]]) {
      const channel = await portA.open(B, RPC_PROTOCOL, new AbortController().signal)
      for (const frame of frames) await channel.send(frame)
      await expect(channel.frames[Symbol.asyncIterator]().next()).rejects.toThrow(Error)
    }
  })

  it('does not trust the form of an answer', async () => {
    const { a, b } = createLab()
    b.serve({ ...double, run: async () => ok({ twice: 'no number' as never }) })
    await expect(a.call(B, 'double', ask)).resolves.toMatchObject({ ok: false, error: { code: 'internal' } })
  })
})
