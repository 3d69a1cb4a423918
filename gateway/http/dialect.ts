import { z } from 'zod'
import type { Ability, Actor } from '../../crdt/actor.ts'
import { domainError } from '../../crdt/errors.ts'
import type { DomainErrorCode } from '../../crdt/errors.ts'
import type { Page } from '../../crdt/page.ts'
import { err, ok } from '../../crdt/result.ts'
import type { Result } from '../../crdt/result.ts'
import type { RateGroup } from './rate-limit.ts'
import type { Refusal } from './refusal.ts'
import { fieldErrors, renameAliases } from './validation.ts'

/**
 * Who may call a route; `authenticated` is any good token, whatever it may do. There is no default: a route without a
 * policy stops the boot.
 */
export type Policy = { readonly ability: Ability } | 'authenticated' | 'public'

export type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'

/** What a route's functions know of one request, parsed. */
export type Call<P = unknown, Q = unknown, B = unknown> = {
  readonly params: P
  readonly query: Q
  readonly body: B
  readonly header: (name: string) => string | undefined
  readonly origin: string | null
  /** Where it comes from, as limits count it (`addressKey`). */
  readonly address: string
  readonly nowMs: number
  /** Aborts when whoever asked has gone away before the answer. */
  readonly signal: AbortSignal
}

/** A successful answer before the dialect's envelope goes around it. */
export type Wire = {
  readonly data: unknown
  readonly page?: Page<unknown>
  readonly headers?: Readonly<Record<string, string>>
  /** What was asked for is still to come: answered with 202, and of the shape `pending`. */
  readonly isPending?: boolean
}

type Described = {
  /** The section of the dialect's document that asks for the route. */
  readonly doc: string
  readonly method: Method
  /** With `:name` for parameters. */
  readonly path: string
  /**
   * A parameter of the path that may hold slashes, for callers that do not encode them. What has more parts than the
   * path is taken to be the parameter's.
   */
  readonly slashes?: string
  /** The rate limit that counts it; `api` unless said otherwise. */
  readonly group?: RateGroup
  readonly status?: 200 | 201
  /** What is missing when a path parameter cannot be anything's id. */
  readonly missing?: DomainErrorCode
  /** How its service may refuse, beside what policy, input and `missing` bring. The OpenAPI document tells of them. */
  readonly errors?: readonly DomainErrorCode[]
  /** Other names under which body fields are accepted: alias → name. */
  readonly aliases?: Readonly<Record<string, string>>
  /** Shape of the answer's data; the OpenAPI document and the conformance tests read it. */
  readonly reply: z.ZodType
  /** Shape of the data of an answer with 202, where a route gives such. */
  readonly pending?: z.ZodType
}

type Schemas<P extends z.ZodType, Q extends z.ZodType, B extends z.ZodType> = {
  readonly params: P
  readonly query: Q
  readonly body: B
}

type Parsed<P extends z.ZodType, Q extends z.ZodType, B extends z.ZodType> = Call<z.infer<P>, z.infer<Q>, z.infer<B>>

export type RouteSpec<D, P extends z.ZodType, Q extends z.ZodType, B extends z.ZodType, T> = Described &
  Schemas<P, Q, B> & {
    readonly policy: Exclude<Policy, 'public'>
    readonly run: (deps: D, call: Parsed<P, Q, B> & { readonly actor: Actor }) => Promise<Result<T>>
    readonly toWire: (value: T, call: Parsed<P, Q, B>) => Wire
  }

export type PublicRouteSpec<D, P extends z.ZodType, Q extends z.ZodType, B extends z.ZodType, T> = Described &
  Schemas<P, Q, B> & {
    readonly policy: 'public'
    readonly run: (deps: D, call: Parsed<P, Q, B>) => Promise<Result<T>>
    readonly toWire: (value: T, call: Parsed<P, Q, B>) => Wire
  }

export type RawCall = Call & { readonly actor: Actor | undefined }

/** One row of a dialect's table. `handle` takes raw input, parses it and answers in the dialect's shapes. */
export type Route<D> = Described &
  Schemas<z.ZodType, z.ZodType, z.ZodType> & {
    readonly policy: Policy
    readonly handle: (deps: D, raw: RawCall) => Promise<Result<Wire>>
  }

export type Envelope = { readonly status: number; readonly body: object }
export type Meta = { readonly timestamp: string; readonly requestId: string }

export type Dialect<D> = {
  /** Also the prefix under which the dialect is always served. */
  readonly name: string
  readonly title: string
  readonly routes: readonly Route<D>[]
  readonly success: (wire: Wire, status: number, meta: Meta) => Envelope
  readonly failure: (refusal: Refusal, meta: Meta) => Envelope
}

/** For routes that take nothing in that place. */
export const none = {
  params: z.strictObject({}),
  /** Unknown query parameters are ignored: caches and trackers add their own. */
  query: z.object({}),
  body: z.strictObject({}).nullish(),
} as const

/** Builders of table rows for services `D`; what `run` and `toWire` get is inferred from the row's own schemas. */
export function routesFor<D>(): {
  route: <P extends z.ZodType, Q extends z.ZodType, B extends z.ZodType, T>(spec: RouteSpec<D, P, Q, B, T>) => Route<D>
  publicRoute: <P extends z.ZodType, Q extends z.ZodType, B extends z.ZodType, T>(
    spec: PublicRouteSpec<D, P, Q, B, T>,
  ) => Route<D>
} {
  return {
    route: (spec) => ({
      ...spec,
      handle: async (deps, raw) => {
        if (raw.actor === undefined) return err(domainError('unauthenticated'))
        const call = parseCall(spec, raw)
        if (!call.ok) return call
        const done = await spec.run(deps, { ...call.value, actor: raw.actor })
        return done.ok ? ok(spec.toWire(done.value, call.value)) : done
      },
    }),
    publicRoute: (spec) => ({
      ...spec,
      handle: async (deps, raw) => {
        const call = parseCall(spec, raw)
        if (!call.ok) return call
        const done = await spec.run(deps, call.value)
        return done.ok ? ok(spec.toWire(done.value, call.value)) : done
      },
    }),
  }
}

function parseCall<P extends z.ZodType, Q extends z.ZodType, B extends z.ZodType>(
  spec: Described & Schemas<P, Q, B>,
  raw: RawCall,
): Result<Parsed<P, Q, B>> {
  const params = spec.params.safeParse(raw.params)
  if (!params.success) return err(domainError(spec.missing ?? 'invalid_input'))
  const query = spec.query.safeParse(raw.query, { reportInput: true })
  if (!query.success) return err(domainError('invalid_input', { details: { fields: fieldErrors(query.error) } }))
  const body = spec.body.safeParse(renameAliases(raw.body, spec.aliases), { reportInput: true })
  if (!body.success) return err(domainError('invalid_input', { details: { fields: fieldErrors(body.error) } }))
  const { header, origin, address, nowMs, signal } = raw
  return ok({ params: params.data, query: query.data, body: body.data, header, origin, address, nowMs, signal })
}
