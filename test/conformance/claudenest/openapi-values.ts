import fc from 'fast-check'
import type { Json } from '../../support/gateway-lab.ts'

/** How a parameter of the path is filled: by something that exists, by an id of nothing, or by anything at all. */
export type Param = 'known' | 'unknown' | { readonly text: string }
export type Caller = 'owner' | 'narrow' | 'stranger' | 'nobody'

export type Generated = {
  readonly params: Readonly<Record<string, Param>>
  readonly query: string
  readonly body: unknown
  readonly caller: Caller
}

/** Requests as an operation of an OpenAPI document describes them, most of them right, some wrong in some place. */
export function generatedFrom(operation: Json): fc.Arbitrary<Generated> {
  const of = (place: string): Json[] => operation.parameters.filter((parameter: Json) => parameter.in === place)
  const schema: Json = operation.requestBody?.content['application/json'].schema
  return fc.record({
    params: fc.record(Object.fromEntries(of('path').map(({ name }) => [name, param]))),
    query: fc
      .record(Object.fromEntries(of('query').map((each) => [each.name, mostly(valueOf(each.schema))])), {
        requiredKeys: [],
      })
      .map(queryText),
    body: schema === undefined ? fc.constant(undefined) : bodyOf(schema),
    caller: fc.oneof(
      { weight: 9, arbitrary: fc.constant<Caller>('owner') },
      { weight: 1, arbitrary: fc.constantFrom<Caller>('narrow', 'stranger', 'nobody') },
    ),
  })
}

const param: fc.Arbitrary<Param> = fc.oneof(
  { weight: 6, arbitrary: fc.constant<Param>('known') },
  { weight: 1, arbitrary: fc.constant<Param>('unknown') },
  { weight: 1, arbitrary: fc.string({ minLength: 1, unit: 'grapheme' }).map((text) => ({ text })) },
)

/** Dots alone are another path, as every client knows. */
export const segmentOf = (text: string): string => encodeURIComponent(text).replace(/^\.{1,2}$/, '%2E')

function queryText(query: object): string {
  const pairs = Object.entries(query).map(
    ([name, value]) => `${name}=${encodeURIComponent(typeof value === 'string' ? value : JSON.stringify(value))}`,
  )
  return pairs.length === 0 ? '' : `?${pairs.join('&')}`
}

const mostly = (right: fc.Arbitrary<unknown>): fc.Arbitrary<unknown> =>
  fc.oneof({ weight: 19, arbitrary: right }, { weight: 1, arbitrary: fc.jsonValue({ maxDepth: 2 }) })

function bodyOf(schema: Json): fc.Arbitrary<unknown> {
  const fields = Object.entries<Json>(schema.properties).map(
    ([name, field]) => [name, mostly(named(name, field))] as const,
  )
  return mostly(fc.record(Object.fromEntries(fields), { requiredKeys: schema.required ?? [] }))
}

/** What is worth sending by that name, again and again, so that calls meet what earlier ones have left. */
const TELLING: Readonly<Record<string, readonly unknown[]>> = {
  path: [
    'src/auth.php',
    'src/',
    'src/**/*.ts',
    '../x',
    '.',
    '/etc/passwd',
    '\u0000',
    'debugging',
    '.claude/commands/a',
  ],
  project_path: ['/tmp', '/', '/no/such/folder', 'relative', '\u0000'],
  instance_id: ['instance_1', 'instance_1', 'instance_2'],
  agent: ['shell'],
  mode: ['interactive'],
  abilities: [['*'], ['task:read'], []],
}

const named = (name: string, schema: Json): fc.Arbitrary<unknown> => {
  const telling = TELLING[name]
  return telling === undefined
    ? valueOf(schema)
    : fc.oneof({ weight: 4, arbitrary: fc.constantFrom(...telling) }, valueOf(schema))
}

/** Values that a JSON schema allows, as far as the schemas of this dialect go. */
function valueOf(schema: Json): fc.Arbitrary<unknown> {
  if (schema.enum) return fc.constantFrom(...schema.enum)
  if ('const' in schema) return fc.constant(schema.const)
  const any = schema.anyOf ?? schema.oneOf
  if (any) return fc.oneof(...any.map(valueOf))
  const [type] = [schema.type].flat()
  switch (type) {
    case 'string':
      return textOf(schema)
    case 'integer':
      return fc.integer({ min: Math.max(schema.minimum ?? 0, -1e9), max: Math.min(schema.maximum ?? 1e9, 1e9) })
    case 'number':
      return fc.double({ min: schema.minimum ?? -1e9, max: schema.maximum ?? 1e9, noNaN: true })
    case 'boolean':
      return fc.boolean()
    case 'array':
      return fc.array(valueOf(schema.items ?? {}), { minLength: schema.minItems ?? 0, maxLength: 5 })
    case 'object':
      return objectOf(schema)
    case 'null':
      return fc.constant(null)
    default:
      return fc.jsonValue({ maxDepth: 2 })
  }
}

function textOf({ format, minLength = 0, maxLength = 60 }: Json): fc.Arbitrary<unknown> {
  if (format === 'date-time') return fc.date({ noInvalidDate: true }).map((date) => date.toISOString())
  if (format === 'uuid') return fc.uuid()
  return fc.oneof(
    fc.string({ minLength, maxLength: Math.max(minLength, Math.min(maxLength, 60)), unit: 'grapheme' }),
    fc.constantFrom(
      'src/auth.php',
      '../x',
      '/tmp',
      'src/**/*.ts',
      '.',
      'instance_1',
      'all',
      '\u0000',
      'user@example.com',
    ),
  )
}

function objectOf(schema: Json): fc.Arbitrary<unknown> {
  if (!schema.properties) return fc.dictionary(fc.string({ maxLength: 20 }), valueOf(schema.additionalProperties ?? {}))
  const fields = Object.entries(schema.properties).map(([name, field]) => [name, valueOf(field)] as const)
  return fc.record(Object.fromEntries(fields), { requiredKeys: schema.required ?? [] })
}
