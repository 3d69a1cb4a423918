import type { FastifyReply, FastifyRequest } from 'fastify'
import { can } from '../../crdt/actor.ts'
import type { Actor } from '../../crdt/actor.ts'
import { domainError } from '../../crdt/errors.ts'
import type { AccountService } from '../../node/services/accounts/account-service.ts'
import type { Clock } from '../../node/ports/clock.ts'
import { addressKey, isLoopbackAddress } from './address.ts'
import { createAuthenticator, fingerprintOf } from './authenticator.ts'
import type { Envelope, Meta, Policy } from './dialect.ts'
import { createRateLimiter, RATE_LIMITS } from './rate-limit.ts'
import type { Allowance, RateGroup, RateLimiter } from './rate-limit.ts'
import { httpError, unauthenticated } from './refusal.ts'
import type { Refusal } from './refusal.ts'
import { createSourceCheck } from './source-check.ts'
import type { SourceCheck, SourceOptions } from './source-check.ts'

/** How a dialect puts a refusal into words. */
export type Speak = (refusal: Refusal, meta: Meta) => Envelope

/** What every route declares to the gate. */
export type GateRule = {
  readonly policy: Policy
  readonly group: RateGroup
  readonly speak: Speak
  /** Callers on this host need no token. Host and Origin are checked all the same. */
  readonly openToLoopback?: boolean
  /** Another header than `Authorization` in which this route's callers may send their token, as it is. */
  readonly tokenHeader?: string
}

declare module 'fastify' {
  interface FastifyContextConfig {
    gate?: GateRule
  }
  interface FastifyRequest {
    /** Set by the gate on routes that are not public. */
    actor: Actor | undefined
  }
}

export type GateOptions = SourceOptions & {
  readonly accounts: Pick<AccountService, 'authenticate'>
  readonly clock: Clock
  readonly rateLimits: Partial<Record<RateGroup, number>>
  /** Behind a proxy every caller may look like loopback; then nothing is open to it. */
  readonly isBehindProxy: boolean
}

export type Gate = {
  readonly source: SourceCheck
  /** Decides about a request before its body is read. The order of the checks is part of the contract. */
  readonly check: (request: FastifyRequest, reply: FastifyReply, rule: GateRule | undefined) => Refusal | undefined
  /** Who is behind a token that arrived inside a socket; guesses count as those over HTTP do. */
  readonly authenticate: (token: string, address: string) => Actor | undefined
}

export function createGate(options: GateOptions): Gate {
  const { clock } = options
  const limiters = createLimiters(options.rateLimits, clock)
  const source = createSourceCheck(options)
  const authenticate = createAuthenticator(options.accounts, limiters.guess)

  const limit = (request: FastifyRequest, reply: FastifyReply, group: RateGroup): Refusal | undefined => {
    const allowance = limiters[group].take(rateKey(request, group))
    if (group !== 'probe' && group !== 'page') tellAllowance(reply, allowance, clock.wallMs())
    return allowance.allowed ? undefined : rateLimited(allowance.resetMs)
  }

  const authorize = (request: FastifyRequest, rule: GateRule): Refusal | undefined => {
    const { policy, openToLoopback, tokenHeader } = rule
    const isOpen = openToLoopback === true && !options.isBehindProxy && isLoopbackAddress(request.ip)
    if (policy === 'public' || isOpen) return undefined
    const token = bearerToken(request) ?? headerToken(request, tokenHeader)
    if (token === undefined) return unauthenticated()
    const who = authenticate(token, request.ip)
    if (who.as === 'guesser') return rateLimited(who.resetMs)
    if (who.as === 'nobody') return unauthenticated()
    request.actor = who.actor
    if (policy === 'authenticated' || can(who.actor, policy.ability)) return undefined
    return domainError('forbidden', { message: `This token lacks the ability ${policy.ability}.` })
  }

  return {
    source,
    check: (request, reply, rule) =>
      source.refusal(request) ??
      tokenInUrl(request) ??
      limit(request, reply, rule?.group ?? 'api') ??
      (rule === undefined ? undefined : authorize(request, rule)),
    authenticate(token, address) {
      const who = authenticate(token, address)
      return who.as === 'actor' ? who.actor : undefined
    },
  }
}

function createLimiters(limits: Partial<Record<RateGroup, number>>, clock: Clock): Record<RateGroup, RateLimiter> {
  const limiter = (group: RateGroup): RateLimiter => createRateLimiter(limits[group] ?? RATE_LIMITS[group], clock)
  return {
    authentication: limiter('authentication'),
    pairing: limiter('pairing'),
    api: limiter('api'),
    websocket: limiter('websocket'),
    probe: limiter('probe'),
    page: limiter('page'),
    guess: limiter('guess'),
  }
}

function tokenInUrl(request: FastifyRequest): Refusal | undefined {
  const query = (request.raw.url ?? '').split('?')[1]
  return query !== undefined && new URLSearchParams(query).has('token') ? httpError('token_in_url') : undefined
}

const BEARER = /^Bearer ([\x21-\x7e]{1,512})$/i

function bearerToken(request: FastifyRequest): string | undefined {
  return BEARER.exec(request.headers.authorization ?? '')?.[1]
}

const TOKEN = /^[\x21-\x7e]{1,512}$/

function headerToken(request: FastifyRequest, header: string | undefined): string | undefined {
  const given = header === undefined ? undefined : request.headers[header]
  return typeof given === 'string' && TOKEN.test(given) ? given : undefined
}

/** The documented limit counts per token and address; everything before authentication per address. */
function rateKey(request: FastifyRequest, group: RateGroup): string {
  const address = addressKey(request.ip)
  const token = group === 'api' ? bearerToken(request) : undefined
  return token === undefined ? address : `${address} ${fingerprintOf(token)}`
}

function tellAllowance(reply: FastifyReply, allowance: Allowance, wallMs: number): void {
  reply.header('x-ratelimit-limit', allowance.limit)
  reply.header('x-ratelimit-remaining', allowance.remaining)
  reply.header('x-ratelimit-reset', Math.ceil((wallMs + allowance.resetMs) / 1000))
}

function rateLimited(resetMs: number): Refusal {
  const headers = { 'retry-after': String(Math.ceil(resetMs / 1000)) }
  return { ...domainError('rate_limited', { details: { retryAfterMs: Math.ceil(resetMs) } }), headers }
}
