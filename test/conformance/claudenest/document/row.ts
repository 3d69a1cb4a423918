import { z } from 'zod'

type Method = 'GET' | 'POST' | 'PATCH' | 'DELETE'

/** One documented route, in our words; what it is sent is the example as the document prints it. */
export type RestRow = {
  /** Of the document. */
  readonly section: string
  readonly method: Method
  readonly path: string
  /** False where the document asks for no token. */
  readonly needsToken: boolean
  readonly body?: Readonly<Record<string, unknown>>
  readonly status: 200 | 201
  /** Shape of the answer's data, written from the document. More fields may come, fewer may not. */
  readonly reply: z.ZodType
  /** The same of an answer with 202, where the route gives such. */
  readonly pending?: z.ZodType
  /** Documented error codes that this route gives; 401, VAL_001 and RTE_001 are every route's. */
  readonly errors: readonly string[]
  /** What else the document, or a known client of it, asks of the route. */
  readonly says: readonly string[]
  /** Why it is not served yet: the route is then an expected failure, red as soon as it is served. */
  readonly unbuilt?: string
}

/** One documented message of the socket. */
export type SocketRow = {
  readonly section: string
  readonly event: string
  readonly direction: 'to server' | 'to client'
  readonly payload: z.ZodType
  readonly unbuilt?: string
}

type Optional = 'needsToken' | 'status' | 'errors' | 'says'

/** A row of the table; a token, 200 and no errors unless told otherwise. */
export function rest(
  section: string,
  route: `${Method} /${string}`,
  row: Omit<RestRow, 'section' | 'method' | 'path' | Optional> & Partial<Pick<RestRow, Optional>>,
): RestRow {
  const [method, path] = route.split(' ') as [Method, string]
  return { section, method, path, needsToken: true, status: 200, errors: [], says: [], ...row }
}

export const nameOf = ({ method, path }: { readonly method: string; readonly path: string }): string =>
  `${method} ${path}`

/** An object that has at least these fields. */
export const shape = <T extends z.ZodRawShape>(fields: T): z.ZodObject<T, z.core.$loose> => z.looseObject(fields)

/** Known clients read an object's fields flat in `data` and again under its name. */
export const flatAndNested = <T extends z.ZodRawShape>(
  name: string,
  object: z.ZodObject<T, z.core.$loose>,
): z.ZodType => object.and(z.looseObject({ [name]: object }))

export const time = z.iso.datetime()
export const text = z.string()
export const count = z.int().min(0)
export const uuid = z.uuid()
export const percent = z.number().min(0)
export const token = (prefix: string): z.ZodString => z.string().startsWith(prefix)

/** Every field that a shape names: `data.results[].id`. Of a list of texts or numbers the list itself. */
export function fieldsOf(schema: z.ZodType, at = 'data'): string[] {
  if (schema instanceof z.ZodNullable) return fieldsOf(schema.unwrap() as z.ZodType, at)
  if (schema instanceof z.ZodArray)
    return schema.element instanceof z.ZodObject ? fieldsOf(schema.element, `${at}[]`) : [at]
  if (schema instanceof z.ZodIntersection)
    return [schema.def.left, schema.def.right].flatMap((side) => fieldsOf(side as z.ZodType, at))
  if (!(schema instanceof z.ZodObject) || Object.keys(schema.shape).length === 0) return [at]
  return Object.entries(schema.shape).flatMap(([name, field]) => fieldsOf(field as z.ZodType, `${at}.${name}`))
}

/** Those of the fields that an answer does not show. An empty list shows no field of its elements. */
export const missingFields = (data: unknown, schema: z.ZodType): string[] =>
  fieldsOf(schema).filter((field) => !shows({ data }, field.replaceAll('[]', '.0').split('.')))

function shows(value: unknown, [name, ...rest]: readonly string[]): boolean {
  if (name === undefined) return true
  if (typeof value !== 'object' || value === null || !(name in value)) return false
  return shows((value as Record<string, unknown>)[name], rest)
}
