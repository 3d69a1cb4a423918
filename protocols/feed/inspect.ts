import { createDecoder, readVarUint } from 'lib0/decoding'
import * as Y from 'yjs'

/** Structs of one update: an honest batch within the size limit stays far below. */
export const STRUCTS_MAX = 65_536

/** Clocks one update may use up; a garbage-collected run costs few bytes whatever its length. */
export const CLOCKS_PER_UPDATE_MAX = 2 ** 28

/** Clients whose structs one update may delete: each process start of each member is one. */
export const DELETE_CLIENTS_MAX = 10_000

export const DELETE_RANGES_MAX = 65_536

/** Map keys and names of top-level types. */
export const KEY_LENGTH_MAX = 1024

/** One string value. */
export const STRING_LENGTH_MAX = 128 * 1024

/** Nesting of one JSON value. */
export const VALUE_DEPTH_MAX = 32

/** Types nested in types that one update creates: Yjs deletes and reads nested types by recursion. */
export const NESTING_MAX = 16

const FORBIDDEN_KEYS: ReadonlySet<string> = new Set(['__proto__', 'prototype', 'constructor'])

/** What is known before the update: the clientID its author may write with, and which clocks exist. */
export type KnownClocks = {
  /** The author's clientID in use; undefined when it has declared none. */
  readonly client: number | undefined
  /** First clock of a client that is not known yet. */
  readonly clockOf: (client: number) => number
  /** The update has been looked at before it was renamed, which cuts ranges of deletes into more. */
  readonly isRenamed?: true
}

export type Inspection =
  /** Applying it adds the clocks up to `clock` of the author's client and changes nothing it may not change. */
  | { readonly kind: 'sound'; readonly clock: number }
  /** It refers to structs that are not here (yet). */
  | { readonly kind: 'missing' }
  | { readonly kind: 'malformed'; readonly reason: string }

/**
 * Decides about an update before any document sees it: structs of the author's own clientID only, continuing exactly
 * where that client ended (so that a GC struct can only stand for the author's own new clocks), no gaps, nothing that
 * refers to itself, bounded, and only the kinds of content that leave a replica's state to the envelopes alone: rich-text
 * formats are refused because Yjs tidies them by deletions of its own, subdocuments because they load other documents.
 * Costs no more than decoding; many-clients bombs are refused by their header.
 */
export function inspectUpdate(update: Uint8Array, known: KnownClocks): Inspection {
  try {
    const sections = readVarUint(createDecoder(update))
    if (sections > 1) return malformed(`structs of ${sections} clients`)
    const { structs, ds } = Y.decodeUpdate(update)
    if (structs.length === 0 && ds.clients.size === 0) return malformed('empty update')
    return inspectDecoded(structs, ds.clients, known)
  } catch (error) {
    if (error instanceof Malformed) return malformed(error.message)
    return malformed(`not a Yjs update (${error instanceof Error ? error.message : String(error)})`)
  }
}

class Malformed extends Error {}

const malformed = (reason: string): Inspection => ({ kind: 'malformed', reason })

type Struct = ReturnType<typeof Y.decodeUpdate>['structs'][number]
type Deletes = ReadonlyMap<number, readonly { readonly clock: number; readonly len: number }[]>

function inspectDecoded(structs: readonly Struct[], deletes: Deletes, known: KnownClocks): Inspection {
  if (structs.length > STRUCTS_MAX) throw new Malformed(`${structs.length} structs`)
  const start = known.client === undefined ? 0 : known.clockOf(known.client)
  let clock = start
  let complete = true
  /** Nesting of the types that this update creates, by clock. */
  const nesting = new Map<number, number>()
  for (const struct of structs) {
    checkPlace(struct, known.client, clock)
    if (struct instanceof Y.Item) {
      if (!inspectItem(struct, known)) complete = false
      checkNesting(struct, nesting)
    }
    clock += struct.length
    if (clock - start > CLOCKS_PER_UPDATE_MAX) throw new Malformed('too many clocks')
  }
  const end = (client: number): number => (client === known.client ? clock : known.clockOf(client))
  if (known.isRenamed !== true) countDeletes(deletes)
  if (!inspectDeletes(deletes, known.client, end)) complete = false
  return complete ? { kind: 'sound', clock } : { kind: 'missing' }
}

function checkPlace(struct: Struct, client: number | undefined, clock: number): void {
  if (struct instanceof Y.Skip) throw new Malformed('a gap')
  if (struct.id.client !== client) throw new Malformed('a struct of a clientID that its author has not declared')
  if (struct.id.clock !== clock) throw new Malformed('clocks are not contiguous')
  if (struct.length < 1) throw new Malformed('an empty struct')
}

/** False when the item refers to a struct that is not known. */
function inspectItem(item: Y.Item, known: KnownClocks): boolean {
  let complete = true
  // As decoded and not yet integrated, a parent is the name of a top-level type or the id of the item that holds it.
  const parent: unknown = item.parent
  for (const id of [item.origin, item.rightOrigin, parent]) {
    if (!(id instanceof Y.ID)) continue
    const own = id.client === item.id.client
    if (own && id.clock >= item.id.clock) throw new Malformed('a struct that refers to itself or a later one')
    if (!own && id.clock >= known.clockOf(id.client)) complete = false
  }
  if (item.origin && item.rightOrigin && Y.compareIDs(item.origin, item.rightOrigin))
    throw new Malformed('a struct on both sides of another')
  if (typeof parent === 'string') checkKey(parent)
  if (item.parentSub !== null) checkKey(item.parentSub)
  checkContent(item.content)
  return complete
}

function checkNesting({ id, parent, content }: Y.Item, nesting: Map<number, number>): void {
  if (!(content instanceof Y.ContentType)) return
  // As decoded, see above. A type beside one of this update (with a neighbour for a parent) counts as the first again.
  const outer: unknown = parent
  const depth = 1 + (outer instanceof Y.ID && outer.client === id.client ? (nesting.get(outer.clock) ?? 0) : 0)
  if (depth > NESTING_MAX) throw new Malformed('types nested too deep')
  nesting.set(id.clock, depth)
}

const PLAIN_TYPES: ReadonlySet<unknown> = new Set([Y.Map, Y.Array, Y.Text])

function checkContent(content: Y.Item['content']): void {
  if (content instanceof Y.ContentDeleted || content instanceof Y.ContentBinary) return
  if (content instanceof Y.ContentString) return checkString(content.str)
  if (content instanceof Y.ContentAny) return content.arr.forEach((value) => checkValue(value, 0))
  if (content instanceof Y.ContentType && PLAIN_TYPES.has(content.type.constructor)) return
  throw new Malformed(`content of kind ${content.constructor.name}`)
}

function checkValue(value: unknown, depth: number): void {
  if (depth > VALUE_DEPTH_MAX) throw new Malformed('a value nested too deep')
  if (typeof value === 'string') return checkString(value)
  if (typeof value === 'bigint') throw new Malformed('a bigint')
  if (typeof value !== 'object' || value === null || value instanceof Uint8Array) return
  if (Array.isArray(value)) return value.forEach((item) => checkValue(item, depth + 1))
  // Yjs decodes objects by plain assignment: a key `__proto__` shows only as a foreign prototype.
  if (Object.getPrototypeOf(value) !== Object.prototype) throw new Malformed('a key __proto__')
  for (const [key, item] of Object.entries(value)) {
    checkKey(key)
    checkValue(item, depth + 1)
  }
}

function checkKey(key: string): void {
  if (key.length > KEY_LENGTH_MAX) throw new Malformed(`a key of ${key.length} characters`)
  if (FORBIDDEN_KEYS.has(key)) throw new Malformed(`a key ${key}`)
}

function checkString(text: string): void {
  if (text.length > STRING_LENGTH_MAX) throw new Malformed(`a string of ${text.length} characters`)
}

function countDeletes(deletes: Deletes): void {
  if (deletes.size > DELETE_CLIENTS_MAX) throw new Malformed(`deletes structs of ${deletes.size} clients`)
  let count = 0
  for (const ranges of deletes.values()) count += ranges.length
  if (count > DELETE_RANGES_MAX) throw new Malformed('too many deleted ranges')
}

/** False when a range goes beyond what is known. */
function inspectDeletes(deletes: Deletes, own: number | undefined, end: (client: number) => number): boolean {
  let complete = true
  for (const [client, ranges] of deletes)
    for (const { clock, len } of ranges) {
      if (len < 1) throw new Malformed('an empty deleted range')
      if (clock + len <= end(client)) continue
      if (client === own) throw new Malformed('deletes structs that its author has not written')
      complete = false
    }
  return complete
}
