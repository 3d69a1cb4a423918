import { isDeepStrictEqual } from 'node:util'
import { isMap, isNode, isScalar, parseDocument, stringify } from 'yaml'

/** Longer than anybody writes by hand; a hostile one must not hold up the others. */
export const FRONT_MATTER_CHARS_MAX = 32 * 1024
const LINES_MAX = 1000
const NESTING_MAX = 32
/** Each may stand for all that was said before it. */
const ALIASES_MAX = 20

/** A Markdown file in the pieces it is written in: joined they are the file again, byte for byte. */
export type Pieces = {
  /** `---` and its line end, or nothing; so for the others. */
  readonly open: string
  readonly yaml: string
  /** With the blank line that usually follows. */
  readonly close: string
  readonly body: string
}

/** Null when there is front matter whose end is missing or too far away. */
export function splitMarkdown(text: string): Pieces | null {
  const open = /^\uFEFF?---[ \t]*\r?\n/.exec(text)?.[0]
  if (open === undefined) return { open: '', yaml: '', close: '', body: text }
  const head = text.slice(open.length, open.length + FRONT_MATTER_CHARS_MAX)
  const end = /^---[ \t]*(?:\r?\n|$(?![^]))(?:\r?\n)?/m.exec(head)
  if (!end) return null
  const [close] = end
  const isCutOff = !close.endsWith('\n') && text.length > open.length + head.length
  if (isCutOff) return null
  return {
    open,
    yaml: head.slice(0, end.index),
    close,
    body: text.slice(open.length + end.index + close.length),
  }
}

export const joinMarkdown = ({ open, yaml, close, body }: Pieces): string => `${open}${yaml}${close}${body}`

export type Fields = Readonly<Record<string, unknown>>
export type Parsed = { readonly ok: true; readonly fields: Fields } | { readonly ok: false; readonly problem: string }

/**
 * What front matter says, as plain JSON-like values. Data only (the core schema of YAML 1.2): tags make nothing, and
 * aliases, nesting and length are bounded.
 */
export function parseFrontMatter(yaml: string): Parsed {
  const read = readDocument(yaml)
  return 'problem' in read ? { ok: false, problem: read.problem } : { ok: true, fields: read.fields }
}

/** A field to set, or to take out (undefined). */
export type FieldChange = readonly [path: readonly [string] | readonly [string, string], value: unknown]

/**
 * Changes fields and leaves everything else as it is written: order, quotes, comments. What cannot be changed in place is
 * written anew as a whole, comments kept.
 */
export function changeFrontMatter(yaml: string, changes: readonly FieldChange[]): Parsed & { readonly yaml?: string } {
  const before = readDocument(yaml)
  const after = readDocument(yaml)
  if ('problem' in before || 'problem' in after) return parseFrontMatter(yaml)
  const touched = new Set(changes.map(([[key]]) => key))
  const wanted = orUndefined(() => {
    for (const [path, value] of changes) setField(after.document, path, value)
    return fieldsOf(after.document)
  })
  const ways = [
    () => replaceLines(yaml, { before: before.document, after: after.document, touched }),
    () => asWhole(after.document),
  ]
  for (const way of wanted === undefined ? [] : ways) {
    const changed = orUndefined(way)
    const parsed = changed === undefined ? undefined : parseFrontMatter(changed)
    if (changed !== undefined && parsed?.ok && isDeepStrictEqual(parsed.fields, wanted))
      return { ...parsed, yaml: changed }
  }
  return { ok: false, problem: 'The front matter would become too long or too deep, or lose what an alias stands for.' }
}

const READING = { schema: 'core', version: '1.2', merge: false, logLevel: 'silent' } as const
const WRITING = { lineWidth: 0 } as const

/** An alias of what is not there (any more) can neither be read nor written. */
function orUndefined<T>(work: () => T): T | undefined {
  try {
    return work()
  } catch (error) {
    if (error instanceof Error && error.message.includes('alias')) return undefined
    throw error
  }
}

type Yaml = ReturnType<typeof parseDocument>
type Read = { readonly document: Yaml; readonly fields: Fields } | { readonly problem: string }

function readDocument(yaml: string): Read {
  const bound = boundProblem(yaml)
  if (bound !== undefined) return { problem: bound }
  try {
    const document = parseDocument(yaml, READING)
    const [error] = document.errors
    if (error) return { problem: `The front matter is not valid YAML: ${firstLine(error.message)}` }
    if (document.contents === null) return { document, fields: {} }
    if (!isMap(document.contents)) return { problem: 'The front matter is not a list of fields.' }
    return { document, fields: fieldsOf(document) }
  } catch (error) {
    return { problem: `The front matter is not valid YAML: ${firstLine(error instanceof Error ? error.message : '')}` }
  }
}

/** What would take the parser long, whatever came of it. */
function boundProblem(yaml: string): string | undefined {
  if (yaml.length > FRONT_MATTER_CHARS_MAX)
    return `The front matter is longer than ${FRONT_MATTER_CHARS_MAX} characters.`
  if (yaml.split('\n', LINES_MAX + 1).length > LINES_MAX) return `The front matter has more than ${LINES_MAX} lines.`
  let open = 0
  for (const char of yaml) {
    if (char === '[' || char === '{') open++
    else if (char === ']' || char === '}') open = Math.max(0, open - 1)
    if (open > NESTING_MAX) return 'The front matter is nested too deeply.'
  }
  return /(?:[-?:][ \t]+){33}/.test(yaml) ? 'The front matter is nested too deeply.' : undefined
}

const firstLine = (message: string): string => (message.split('\n')[0] ?? '').replace(/:$/, '').slice(0, 200)

/** Of a hostile file nothing but data is left: no prototype, no number that JSON does not have. */
function fieldsOf(document: Yaml): Fields {
  const fields = plain(document.toJS({ maxAliasCount: ALIASES_MAX }), NESTING_MAX)
  return typeof fields === 'object' && fields !== null && !Array.isArray(fields) ? (fields as Fields) : {}
}

function plain(value: unknown, depthLeft: number): unknown {
  if (typeof value === 'string') return value.toWellFormed()
  if (typeof value === 'boolean' || value === null) return value
  if (typeof value === 'number') return Number.isFinite(value) ? value : String(value)
  if (typeof value !== 'object' || depthLeft === 0) return null
  if (Array.isArray(value)) return value.map((inner) => plain(inner, depthLeft - 1))
  const entries = Object.entries(value).filter(([key]) => key !== '__proto__')
  return Object.fromEntries(entries.map(([key, inner]) => [key, plain(inner, depthLeft - 1)]))
}

function setField(document: Yaml, [key, inner]: FieldChange[0], value: unknown): void {
  if (document.contents === null) document.contents = document.createNode({}) as never
  if (inner === undefined) {
    if (value === undefined) document.delete(key)
    else document.set(key, document.createNode(value))
    return
  }
  if (!isMap(document.get(key))) {
    if (value === undefined) return
    document.set(key, document.createNode({}))
  }
  if (value === undefined) document.deleteIn([key, inner])
  else document.setIn([key, inner], document.createNode(value))
  const map = document.get(key)
  if (isMap(map) && map.items.length === 0) document.delete(key)
}

type Replacing = { before: Yaml; after: Yaml; touched: ReadonlySet<string> }

/** Only the lines of the touched fields change; undefined where they are not lines of their own. */
function replaceLines(yaml: string, { before, after, touched }: Replacing): string | undefined {
  const eol = yaml.includes('\r\n') ? '\r\n' : '\n'
  const linesOf = (key: string): string | undefined => {
    const value = after.get(key, true)
    if (value === undefined) return undefined
    const text = stringify({ [key]: isScalar(value) ? value.value : value }, WRITING).trimEnd()
    return text.replaceAll('\n', eol)
  }
  const spans = spansOf(yaml, before)
  if (!spans) return undefined
  let text = yaml === '' || yaml.endsWith('\n') ? yaml : `${yaml}${eol}`
  const there = [...touched].filter((key) => spans.has(key))
  for (const key of there.toSorted((a, b) => (spans.get(b)?.start ?? 0) - (spans.get(a)?.start ?? 0))) {
    const { start, end, next } = spans.get(key) ?? { start: 0, end: 0, next: 0 }
    const lines = linesOf(key)
    const hadLineEnd = text.slice(start, end).endsWith('\n')
    text =
      lines === undefined
        ? text.slice(0, start) + text.slice(next)
        : text.slice(0, start) + lines + (hadLineEnd ? eol : '') + text.slice(end)
  }
  for (const key of touched) {
    const lines = spans.has(key) ? undefined : linesOf(key)
    if (lines !== undefined) text += `${lines}${eol}`
  }
  return text
}

type Span = { readonly start: number; readonly end: number; readonly next: number }

/** Where each field is written: from its key to the end of its value, and to where the next line begins. */
function spansOf(yaml: string, { contents }: Yaml): ReadonlyMap<string, Span> | undefined {
  const spans = new Map<string, Span>()
  if (contents === null) return spans
  if (!isMap(contents) || contents.flow === true) return undefined
  for (const { key, value } of contents.items) {
    if (!isScalar(key) || !key.range) return undefined
    const start = key.range[0]
    if (start > 0 && yaml[start - 1] !== '\n') return undefined
    const range = (isNode(value) ? value.range : undefined) ?? key.range
    const lineEnd = yaml.indexOf('\n', Math.max(start, range[1] - 1))
    spans.set(String(key.value), { start, end: range[1], next: lineEnd === -1 ? yaml.length : lineEnd + 1 })
  }
  return spans
}

function asWhole(document: Yaml): string {
  const text = document.toString(WRITING)
  return text.endsWith('\n') ? text : `${text}\n`
}
