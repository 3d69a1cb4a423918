import { z } from 'zod'
import { DOMAIN_ERRORS } from '../../crdt/errors.ts'
import type { DomainErrorCode } from '../../crdt/errors.ts'
import type { Route } from './dialect.ts'
import { HTTP_ERRORS } from './refusal.ts'
import type { HttpErrorCode } from './refusal.ts'

/** What the document tells of a row; who runs it does not matter. */
type Row = Omit<Route<unknown>, 'handle'>

type JsonSchema = Readonly<Record<string, unknown>>

type ErrorCode = DomainErrorCode | HttpErrorCode

/** How a dialect calls each refusal. */
export type WireErrors = Readonly<Record<ErrorCode, { readonly code: string; readonly status: number }>>

/** The OpenAPI 3.1 document of a table, generated from the rows that are served: every policy, answer and error. */
export function openApi(
  info: { readonly title: string; readonly version: string },
  rows: readonly Row[],
  errors: WireErrors,
): Record<string, unknown> {
  const paths: Record<string, Record<string, unknown>> = {}
  const responses: Record<string, unknown> = {}
  for (const route of rows) {
    const path = route.path.replace(/:(\w+)/g, '{$1}')
    paths[path] = { ...paths[path], [route.method.toLowerCase()]: operation(route, errors, responses) }
  }
  return {
    openapi: '3.1.0',
    info,
    paths,
    components: {
      securitySchemes: { bearer: { type: 'http', scheme: 'bearer' } },
      schemas: { Meta: META, Pagination: PAGINATION },
      responses,
    },
  }
}

/** Adds the refusals that it refers to to `shared`. */
function operation(route: Row, errors: WireErrors, shared: Record<string, unknown>): Record<string, unknown> {
  const body = takesBody(route) ? inputSchema(route.body) : undefined
  return {
    operationId: `${route.method.toLowerCase()}${route.path.replace(/[^\w]+/g, '_')}`,
    summary: route.doc,
    description: description(route),
    tags: [route.path.split('/')[2] ?? 'other'],
    security: route.policy === 'public' ? [] : [{ bearer: [] }],
    parameters: [...parameters('path', inputSchema(route.params)), ...parameters('query', inputSchema(route.query))],
    ...(body === undefined ? {} : { requestBody: { required: true, content: jsonContent(body) } }),
    responses: {
      [String(route.status ?? 200)]: { description: 'Success', content: jsonContent(success(route.reply)) },
      ...(route.pending && { 202: { description: 'Still to come', content: jsonContent(success(route.pending)) } }),
      ...refusals(route, errors, shared),
    },
  }
}

function description({ policy, aliases = {} }: Row): string {
  const who =
    policy === 'public'
      ? 'Needs no token.'
      : policy === 'authenticated'
        ? 'Needs any valid token.'
        : `Needs a token with the ability \`${policy.ability}\`.`
  const also = Object.entries(aliases).map(([alias, name]) => `\`${alias}\` for \`${name}\``)
  return also.length === 0 ? who : `${who} Also accepted: ${also.join(', ')}.`
}

const takesBody = (route: Row): boolean =>
  route.method !== 'GET' && Object.keys(propertiesOf(inputSchema(route.body))).length > 0

/** Refusals by status; routes that refuse alike share what is said of it. */
function refusals(route: Row, errors: WireErrors, shared: Record<string, unknown>): Record<string, unknown> {
  const byStatus = new Map<number, Map<string, string[]>>()
  for (const code of codesOf(route)) {
    const wire = errors[code]
    const codes = byStatus.get(wire.status) ?? new Map<string, string[]>()
    byStatus.set(wire.status, codes.set(wire.code, [...(codes.get(wire.code) ?? []), messageOf(code)]))
  }
  const references = [...byStatus].map(([status, codes]): [string, unknown] => {
    const name = [status, ...[...codes.keys()].toSorted((a, b) => (a < b ? -1 : 1))].join('_')
    shared[name] ??= {
      description: [...codes].map(([code, messages]) => `\`${code}\`: ${messages.join(' ')}`).join('\n\n'),
      content: jsonContent(failure([...codes.keys()])),
    }
    return [String(status), { $ref: `#/components/responses/${name}` }]
  })
  return Object.fromEntries(references)
}

/** Before any route is looked at, and when something breaks. */
const ALWAYS = [
  'host_refused',
  'origin_refused',
  'fetch_site_refused',
  'bad_request_target',
  'token_in_url',
  'malformed_request',
  'rate_limited',
  'internal',
] as const satisfies readonly ErrorCode[]

/** What a row can be refused with: what its policy and input bring, and what it says of itself. */
function codesOf(route: Row): ReadonlySet<ErrorCode> {
  const codes = new Set<ErrorCode>(ALWAYS)
  if (route.policy !== 'public') codes.add('unauthenticated')
  if (typeof route.policy === 'object') codes.add('forbidden')
  if (route.method !== 'GET') for (const code of ['media_type', 'too_large', 'storage_failed'] as const) codes.add(code)
  const hasParams = Object.keys(propertiesOf(inputSchema(route.params))).length > 0
  // A parameter that is too long is no route's.
  if (hasParams) codes.add(route.missing ?? 'invalid_input').add('route_not_found')
  const hasQuery = Object.keys(propertiesOf(inputSchema(route.query))).length > 0
  if (route.method !== 'GET' || hasQuery) codes.add('invalid_input')
  for (const code of route.errors ?? []) codes.add(code)
  return codes
}

const messageOf = (code: ErrorCode): string =>
  code in HTTP_ERRORS ? HTTP_ERRORS[code as HttpErrorCode] : DOMAIN_ERRORS[code as DomainErrorCode].message

const jsonContent = (schema: JsonSchema): object => ({ 'application/json': { schema } })

const META = {
  type: 'object',
  properties: {
    timestamp: { type: 'string', format: 'date-time' },
    request_id: { type: 'string' },
    pagination: { $ref: '#/components/schemas/Pagination' },
  },
  required: ['timestamp', 'request_id'],
}

const PAGE_FIELDS = ['current_page', 'last_page', 'per_page', 'total']
const PAGINATION = {
  type: 'object',
  description: 'Of lists only.',
  properties: Object.fromEntries(PAGE_FIELDS.map((name) => [name, { type: 'integer', minimum: 0 }])),
  required: PAGE_FIELDS,
}

const meta = { $ref: '#/components/schemas/Meta' }

const failure = (codes: readonly string[]): JsonSchema => ({
  type: 'object',
  properties: {
    success: { const: false },
    error: {
      type: 'object',
      properties: {
        code: { type: 'string', enum: codes },
        message: { type: 'string' },
        errors: { type: 'object', additionalProperties: { type: 'array', items: { type: 'string' } } },
        details: { type: 'object' },
      },
      required: ['code', 'message'],
    },
    meta,
  },
  required: ['success', 'error', 'meta'],
})

const success = (reply: z.ZodType): JsonSchema => ({
  type: 'object',
  properties: { success: { const: true }, data: jsonSchema(reply, 'output'), meta },
  required: ['success', 'data', 'meta'],
})

function parameters(place: 'path' | 'query', schema: JsonSchema): object[] {
  const required = Array.isArray(schema['required']) ? schema['required'] : []
  return Object.entries(propertiesOf(schema)).map(([name, property]) => ({
    name,
    in: place,
    required: place === 'path' || required.includes(name),
    schema: property,
  }))
}

function propertiesOf(schema: JsonSchema): object {
  const { properties } = schema
  return typeof properties === 'object' && properties !== null ? properties : {}
}

const inputSchema = (schema: z.ZodType): JsonSchema => jsonSchema(schema, 'input')

function jsonSchema(schema: z.ZodType, io: 'input' | 'output'): JsonSchema {
  const { $schema: _, ...rest } = z.toJSONSchema(schema, { io, unrepresentable: 'any' })
  return rest
}
