import { expect, it } from 'vitest'
import { argumentProblems } from '../../../node/adapters/argument-check.ts'

const schema = {
  type: 'object',
  properties: {
    path: { type: 'string' },
    options: { type: 'object', properties: { depth: { type: 'integer', maximum: 9 } }, additionalProperties: false },
    mode: { enum: ['a', 'b'] },
  },
  required: ['path'],
}

it('names each field and what is wrong with it', () => {
  expect(argumentProblems(schema, { options: { depth: 10, more: 1 }, mode: 'c' })).toEqual({
    'parameters.path': ['Is required.'],
    'parameters.options.depth': ['Must be <= 9.'],
    'parameters.options.more': ['Is not known to the tool.'],
    'parameters.mode': ['Must be one of ["a","b"].'],
  })
  expect(argumentProblems(schema, { path: '/tmp', mode: 'a' })).toEqual({})
})

it('runs no regular expression of a server', () => {
  const evil = {
    type: 'object',
    properties: { text: { type: 'string', pattern: '^(a+)+$' } },
    patternProperties: { '^(b+)+$': {} },
  }
  expect(argumentProblems(evil, { text: `${'a'.repeat(50)}!`, [`${'b'.repeat(50)}!`]: 1 })).toEqual({})
})

it.each([
  { type: 'no such type' },
  { $ref: '#/nowhere' },
  { properties: 7 },
  { $schema: 'http://json-schema.org/draft-07/schema#', $id: 'x', items: [{}] },
])('lets a schema that makes no sense forbid nothing: %j', (odd) => {
  expect(argumentProblems(odd, { a: 1 })).toEqual({})
})

it('understands both the older and the newer draft', () => {
  const draft7 = {
    $schema: 'http://json-schema.org/draft-07/schema#',
    properties: { pair: { items: [{ type: 'string' }] } },
  }
  const newer = { properties: { pair: { prefixItems: [{ type: 'string' }] } } }
  for (const one of [draft7, newer])
    expect(argumentProblems(one, { pair: [1] })).toEqual({ 'parameters.pair.0': ['Must be string.'] })
})
