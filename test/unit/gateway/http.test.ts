import Fastify from 'fastify'
import { expect, it } from 'vitest'
import { z } from 'zod'
import { addressKey } from '../../../gateway/http/address.ts'
import { createApp, guard } from '../../../gateway/http/app.ts'
import { createAuthenticator } from '../../../gateway/http/authenticator.ts'
import { createBoundedSet } from '../../../gateway/http/bounded-set.ts'
import { allowedNames, checkBinding, ownName } from '../../../gateway/http/config.ts'
import { createGate } from '../../../gateway/http/gate.ts'
import { methodsAt } from '../../../gateway/http/mount.ts'
import { createRateLimiter, RATE_KEYS_MAX, RATE_WINDOW_MS } from '../../../gateway/http/rate-limit.ts'
import { fieldErrors, renameAliases } from '../../../gateway/http/validation.ts'
import { failure } from '../../../gateway/dialects/claudenest/errors.ts'
import { createManualClock } from '../../support/clock.ts'
import { identity } from '../../support/identity.ts'

const config = { host: '127.0.0.1', port: 8000, version: '0.1.0' }

it.each([
  ['127.0.0.1', 'loopback'],
  ['127.1.2.3', 'loopback'],
  ['::1', 'loopback'],
  ['0:0:0:0:0:0:0:1', 'loopback'],
  ['::ffff:127.0.0.1', 'loopback'],
  ['::ffff:7f00:1', 'loopback'],
  ['192.0.2.7', '192.0.2.7'],
  ['::FFFF:192.0.2.7', '192.0.2.7'],
  ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
  ['2001:db8:1:2::9', '2001:db8:1:2::/64'],
  ['2001:db8:1:3::9', '2001:db8:1:3::/64'],
  ['fe80::1%eth0', 'fe80:0:0:0::/64'],
  ['::', '0:0:0:0::/64'],
])('[A-T5] counts %s as %s', (address, key) => {
  expect(addressKey(address)).toBe(key)
})

it('starts however busy the machine is: no plugin has to be ready within a time', () => {
  expect(createApp(config, (_error, _request, reply) => reply).initialConfig.pluginTimeout).toBe(0)
})

it('allows as many requests per window as the limit says, and starts anew after it', async () => {
  const clock = createManualClock()
  const limiter = createRateLimiter(2, clock)
  const take = () => {
    const { allowed, remaining, resetMs } = limiter.take('a')
    return [allowed, remaining, resetMs]
  }
  expect(take()).toEqual([true, 1, RATE_WINDOW_MS])
  await clock.advance(1000)
  expect(take()).toEqual([true, 0, RATE_WINDOW_MS - 1000])
  expect(take()).toEqual([false, 0, RATE_WINDOW_MS - 1000])
  expect(limiter.take('b').allowed).toBe(true)
  await clock.advance(RATE_WINDOW_MS - 1000)
  expect(take()).toEqual([true, 1, RATE_WINDOW_MS])
})

it('forgets the oldest keys when there are too many, never the one just counted', () => {
  const limiter = createRateLimiter(1, createManualClock())
  expect(limiter.take('first').allowed).toBe(true)
  for (let i = 0; i < RATE_KEYS_MAX - 1; i++) limiter.take(`other-${i}`)
  expect(limiter.peek('first').allowed).toBe(false)
  limiter.take('one too many')
  expect([limiter.peek('first').allowed, limiter.peek('one too many').allowed]).toEqual([true, false])
})

it('keeps a bounded set of what was added last', () => {
  const set = createBoundedSet(2)
  for (const item of ['a', 'b', 'a', 'c']) set.add(item)
  expect(['a', 'b', 'c'].map((item) => set.has(item))).toEqual([true, false, true])
})

it('does not even compare the token of an address that guessed too often', () => {
  const compared: string[] = []
  const actor = { kind: 'user', id: 'u', tokenId: 't', abilities: ['*'], gateway: identity(1).peer } as const
  const accounts = {
    authenticate(token: string) {
      compared.push(token)
      return token === 'good' ? { ...actor, abilities: [...actor.abilities] } : undefined
    },
  }
  const authenticate = createAuthenticator(accounts, createRateLimiter(2, createManualClock()))
  const as = (token: string, address: string) => authenticate(token, address).as
  expect(as('good', '192.0.2.1')).toBe('actor')
  expect([as('x1', '192.0.2.1'), as('x2', '192.0.2.1'), as('x3', '192.0.2.1')]).toEqual(['nobody', 'nobody', 'guesser'])
  expect([as('good', '192.0.2.1'), as('x4', '192.0.2.2')]).toEqual(['actor', 'nobody'])
  expect(compared).toEqual(['good', 'x1', 'x2', 'good', 'x4'])
})

it.each([
  ['loopback', {}, undefined],
  ['IPv6 loopback', { host: '::1' }, undefined],
  ['every address, plain', { host: '0.0.0.0' }, expect.stringMatching(/Refusing to listen on 0\.0\.0\.0/)],
  ['a LAN address, plain', { host: '192.168.1.4' }, expect.stringMatching(/--tls auto/)],
  ['every address with TLS', { host: '0.0.0.0', tls: { key: 'k', cert: 'c' } }, undefined],
  ['every address behind a proxy', { host: '0.0.0.0', trustedProxies: ['10.0.0.1'] }, undefined],
  ['an empty list of proxies', { host: '0.0.0.0', trustedProxies: [] }, expect.stringMatching(/Refusing/)],
])('judges a binding to %s', (_name, change, problem) => {
  expect(checkBinding({ ...config, ...change })).toEqual(problem)
})

it('serves its own names with the port, and configured ones exactly', () => {
  const { hosts, origins } = allowedNames({ ...config, hosts: ['Rookery.lan:8000'] }, 8000)
  expect([...hosts]).toEqual(['localhost:8000', '127.0.0.1:8000', 'rookery.lan:8000'])
  expect([...origins]).toEqual(['http://localhost:8000', 'http://127.0.0.1:8000', 'http://rookery.lan:8000'])
  const outside = allowedNames({ ...config, publicUrl: 'https://board.example' }, 8000)
  expect(outside.hosts.has('board.example') && outside.origins.has('https://board.example')).toBe(true)
  const tls = allowedNames({ ...config, host: '::1', tls: { key: 'k', cert: 'c' } }, 443)
  expect(tls.hosts.has('[::1]') && tls.hosts.has('localhost')).toBe(true)
  expect(tls.origins.has('https://localhost')).toBe(true)
})

it('answers to the address at which a connection came in, where it listens on all of them', () => {
  const config = { host: '0.0.0.0', port: 0, version: '1', tls: { key: 'k', cert: 'c' } }
  const at = (localAddress: string, localPort = 8000) => ownName(config, { localAddress, localPort })
  expect(at('::ffff:192.168.1.4')).toEqual({ host: '192.168.1.4:8000', origin: 'https://192.168.1.4:8000' })
  expect(at('fd00::2', 443)).toEqual({ host: '[fd00::2]', origin: 'https://[fd00::2]' })
  expect(ownName({ ...config, host: '192.168.1.4' }, { localAddress: '192.168.1.4', localPort: 8000 })).toBeUndefined()
})

it('does not boot with a route that declares no policy', async () => {
  const clock = createManualClock()
  const gate = createGate({
    accounts: { authenticate: () => undefined },
    clock,
    rateLimits: {},
    corsOrigins: [],
    names: () => ({ hosts: new Set(), origins: new Set() }),
    isBehindProxy: false,
    ownName: () => undefined,
  })
  const app = Fastify()
  guard(app, { gate, speak: failure, clock })
  app.get('/declared', { config: { gate: { policy: 'public', group: 'page', speak: failure } } }, async () => 'ok')
  app.register(async (scope) => {
    scope.get('/forgotten', async () => 'open to all')
  })
  await expect(app.ready()).rejects.toThrow('Routes without a policy: /forgotten')
  await app.close()
})

it('names fields that are missing, unknown or wrong', () => {
  const schema = z.strictObject({ title: z.string(), size: z.strictObject({ cols: z.int() }) })
  const { error } = schema.safeParse({ titel: 'x', size: { cols: 'wide', depth: 1 } }, { reportInput: true })
  if (error === undefined) throw new Error('accepted')
  expect(fieldErrors(error)).toEqual({
    title: ['The title field is required.'],
    titel: ['The titel field is not known here.'],
    'size.cols': [expect.stringContaining('The size.cols field is invalid')],
    'size.depth': ['The depth field is not known here.'],
  })
})

it('renames an alias unless the field itself is there', () => {
  const aliases = { minutes: 'additional_minutes' }
  expect(renameAliases({ minutes: 5, path: 'a' }, aliases)).toEqual({ additional_minutes: 5, path: 'a' })
  const both = { minutes: 5, additional_minutes: 6 }
  expect(renameAliases(both, aliases)).toEqual(both)
  expect([renameAliases(null, aliases), renameAliases([1], aliases)]).toEqual([null, [1]])
  expect(renameAliases({ constructor: 1 }, aliases)).toEqual({ constructor: 1 })
})

it('knows which methods a path has', () => {
  const routes = [
    { method: 'GET', path: '/api/tasks/:id' },
    { method: 'DELETE', path: '/api/tasks/:id' },
    { method: 'GET', path: '/api/tasks' },
  ] as const
  expect(methodsAt(routes, '/api/tasks/7')).toEqual(['GET', 'DELETE'])
  expect(methodsAt(routes, '/api/nothing')).toEqual([])
})
