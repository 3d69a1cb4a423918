import type { z } from 'zod'

type Issue = z.core.$ZodIssue

/** Problems per field, nested fields joined by dots. A missing field is said to be required, an unknown one unknown. */
export function fieldErrors(error: z.ZodError): Record<string, string[]> {
  const fields = new Map<string, string[]>()
  const add = (field: string, problem: string): void => {
    fields.set(field, [...(fields.get(field) ?? []), problem])
  }
  for (const issue of error.issues) {
    if (issue.code === 'unrecognized_keys') {
      for (const key of issue.keys) add(fieldName([...issue.path, key]), `The ${key} field is not known here.`)
    } else add(fieldName(issue.path), problemOf(issue))
  }
  return Object.fromEntries(fields)
}

const fieldName = (path: readonly PropertyKey[]): string => (path.length === 0 ? 'body' : path.map(String).join('.'))

function problemOf(issue: Issue): string {
  const field = fieldName(issue.path)
  if (issue.code === 'invalid_type' && issue.input === undefined) {
    return field === 'body' ? 'A JSON object is required.' : `The ${field} field is required.`
  }
  return `The ${field} field is invalid: ${issue.message}.`
}

/** Gives aliased fields their documented name. Where both are present the alias stays, and is refused as unknown. */
export function renameAliases(body: unknown, aliases: Readonly<Record<string, string>> | undefined): unknown {
  if (aliases === undefined || typeof body !== 'object' || body === null || Array.isArray(body)) return body
  const present = new Set(Object.keys(body))
  const renamed = (key: string): string => {
    const name = Object.hasOwn(aliases, key) ? aliases[key] : undefined
    return name === undefined || present.has(name) ? key : name
  }
  return Object.fromEntries(Object.entries(body).map(([key, value]) => [renamed(key), value]))
}
