import { Ajv2020 } from 'ajv/dist/2020.js'
import type { ErrorObject, Options, ValidateFunction } from 'ajv'
import { Ajv } from 'ajv'

/** Of a wrong argument list a person reads no more. */
const PROBLEMS_MAX = 20

/** A regular expression from elsewhere can hold up the node: patterns and formats are left to the server itself. */
const noPattern = Object.assign(() => ({ test: () => true }), { code: 'noPattern' })

const OPTIONS: Options = {
  strict: false,
  allErrors: true,
  validateFormats: false,
  validateSchema: false,
  addUsedSchema: false,
  logger: false,
  code: { regExp: noPattern },
}

const compiled = new WeakMap<object, ValidateFunction | null>()

/** What is wrong with arguments by the JSON Schema of a tool, by field: `parameters.path`. */
export function argumentProblems(
  schema: Readonly<Record<string, unknown>>,
  args: Readonly<Record<string, unknown>>,
): Record<string, string[]> {
  let validate = compiled.get(schema)
  if (validate === undefined) {
    validate = compile(schema)
    compiled.set(schema, validate)
  }
  // A schema that makes no sense forbids nothing: the server has the last word anyway.
  if (validate === null || validate(args)) return {}
  const problems: Record<string, string[]> = {}
  for (const error of (validate.errors ?? []).slice(0, PROBLEMS_MAX))
    (problems[fieldOf(error)] ??= []).push(saidOf(error))
  return problems
}

function compile(schema: Readonly<Record<string, unknown>>): ValidateFunction | null {
  const isDraft7 = typeof schema['$schema'] === 'string' && /draft-0[4-7]/.test(schema['$schema'])
  try {
    // One of its own each: schemas of servers may have the same `$id`.
    const { $id: _, $schema: __, ...rest } = schema
    return isDraft7 ? new Ajv(OPTIONS).compile(rest) : new Ajv2020(OPTIONS).compile(rest)
  } catch {
    return null
  }
}

function fieldOf({ instancePath, keyword, params }: ErrorObject): string {
  const path = instancePath
    .split('/')
    .slice(1)
    .map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'))
  if (keyword === 'required') path.push(String(params['missingProperty']))
  if (keyword === 'additionalProperties') path.push(String(params['additionalProperty']))
  return ['parameters', ...path].join('.')
}

function saidOf({ keyword, message, params }: ErrorObject): string {
  if (keyword === 'required') return 'Is required.'
  if (keyword === 'additionalProperties') return 'Is not known to the tool.'
  if (keyword === 'enum') return `Must be one of ${JSON.stringify(params['allowedValues'])}.`.slice(0, 500)
  return `${(message ?? 'is not what the tool takes').replace(/^m/, 'M')}.`
}
