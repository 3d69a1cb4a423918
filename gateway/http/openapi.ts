import { z } from 'zod'
import type { Route } from './dialect.ts'

/** What the document tells of a row; who runs it does not matter. */
type Row = Omit<Route<unknown>, 'handle'>

type JsonSchema = Readonly<Record<string, unknown>>

/** The OpenAPI 3.1 document of a table, generated from the rows that are served. */
export function openApi(title: string, version: string, rows: readonly Row[]): Record<string, unknown> {
  const paths: Record<string, Record<string, unknown>> = {}
  for (const route of rows) {
    const path = route.path.replace(/:(\w+)/g, '{$1}')
    paths[path] = { ...paths[path], [route.method.toLowerCase()]: operation(route) }
  }
  return {
    openapi: '3.1.0',
    info: { title, version },
    paths,
    components: { securitySchemes: { bearer: { type: 'http', scheme: 'bearer' } } },
  }
}

function operation(route: Row): Record<string, unknown> {
  const body = inputSchema(route.body)
  const takesBody = route.method !== 'GET' && Object.keys(propertiesOf(body)).length > 0
  return {
    summary: route.doc,
    tags: [route.path.split('/')[2] ?? 'other'],
    security: route.policy === 'public' ? [] : [{ bearer: [] }],
    ...(typeof route.policy === 'string' ? {} : { description: `Needs the ability \`${route.policy.ability}\`.` }),
    parameters: [...parameters('path', inputSchema(route.params)), ...parameters('query', inputSchema(route.query))],
    ...(takesBody ? { requestBody: { required: true, content: { 'application/json': { schema: body } } } } : {}),
    responses: {
      [String(route.status ?? 200)]: { description: 'Success', content: jsonContent(enveloped(route.reply)) },
      default: { description: 'Refused', content: jsonContent(FAILURE) },
    },
  }
}

const jsonContent = (schema: JsonSchema): object => ({ 'application/json': { schema } })

const META = { type: 'object', properties: { timestamp: { type: 'string' }, request_id: { type: 'string' } } }

const FAILURE = {
  type: 'object',
  properties: {
    success: { const: false },
    error: { type: 'object', properties: { code: { type: 'string' }, message: { type: 'string' } } },
    meta: META,
  },
}

const enveloped = (reply: z.ZodType): JsonSchema => ({
  type: 'object',
  properties: { success: { const: true }, data: z.toJSONSchema(reply, { unrepresentable: 'any' }), meta: META },
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

const inputSchema = (schema: z.ZodType): JsonSchema => z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' })
