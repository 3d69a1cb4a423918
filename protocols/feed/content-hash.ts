import * as Y from 'yjs'
import { encodeCanonical } from '../codec.ts'
import type { Crypto } from '../crypto.ts'

/** How much is gathered before it goes into the running hash. */
const CHUNK_BYTES = 64 * 1024

/**
 * Names what a document says: the clocks it has seen of every client, and every visible value in its place. Equal on
 * replicas that have applied the same envelopes, whatever the order, the batches, and the way Yjs came to split, merge or
 * collect structs; different when what they show differs, also where their state vectors are equal.
 */
export function contentHash(doc: Y.Doc, crypto: Crypto): Uint8Array {
  const steps = contentHashSteps(doc, crypto)
  let step = steps.next()
  while (step.done !== true) step = steps.next()
  return step.value
}

/** The same a piece at a time, for large documents; the document must not change in between. */
export function* contentHashSteps(doc: Y.Doc, crypto: Crypto): Generator<undefined, Uint8Array> {
  const hash = createRunningHash(crypto)
  for (const [client, clock] of [...Y.decodeStateVector(Y.encodeStateVector(doc))].toSorted((a, b) => a[0] - b[0]))
    hash.add([client, clock])
  for (const [name, type] of [...doc.share].toSorted(byKey)) {
    // A top-level type that was only asked for, or holds nothing any more, says nothing.
    if (isEmpty(type)) continue
    hash.add(name)
    yield* addType(type, hash)
  }
  return hash.digest()
}

type RunningHash = {
  add(value: unknown): void
  /** True once after each piece. */
  isPiece(): boolean
  digest(): Uint8Array
}

function createRunningHash(crypto: Crypto): RunningHash {
  let state: Uint8Array = new Uint8Array(32)
  let parts: Uint8Array[] = []
  let size = 0
  let isPiece = false
  const fold = (): void => {
    const chunk = new Uint8Array(32 + size)
    chunk.set(state)
    let at = 32
    for (const part of parts) {
      chunk.set(part, at)
      at += part.byteLength
    }
    state = crypto.sha256(chunk)
    parts = []
    size = 0
    isPiece = true
  }
  return {
    add(value) {
      const part = encodeCanonical(value)
      parts.push(part)
      size += part.byteLength
      if (size >= CHUNK_BYTES) fold()
    },
    isPiece() {
      const was = isPiece
      isPiece = false
      return was
    },
    digest() {
      fold()
      return state
    },
  }
}

type AnyType = Y.Doc['share'] extends Map<string, infer T> ? T : never

const byKey = (a: readonly [string, unknown], b: readonly [string, unknown]): number =>
  a[0] < b[0] ? -1 : a[0] > b[0] ? 1 : 0

function isEmpty(type: AnyType): boolean {
  for (const item of type._map.values()) if (!item.deleted) return false
  for (let item = type._start; item !== null; item = item.right) if (!item.deleted) return false
  return true
}

function* addType(type: AnyType, hash: RunningHash): Generator<undefined, void> {
  for (const [key, item] of [...type._map].toSorted(byKey)) {
    if (item.deleted) continue
    hash.add(key)
    // What a map shows under a key is the last value of the item there.
    if (item.content instanceof Y.ContentType) yield* addContent(item.content, hash)
    else hash.add({ value: item.content.getContent().at(-1) })
    if (hash.isPiece()) yield
  }
  let text = ''
  hash.add('[')
  for (let item = type._start; item !== null; item = item.right) {
    if (item.deleted) continue
    if (item.content instanceof Y.ContentString) {
      text += item.content.str
      continue
    }
    if (text !== '') hash.add(text)
    text = ''
    yield* addContent(item.content, hash)
    if (hash.isPiece()) yield
  }
  if (text !== '') hash.add(text)
  hash.add(']')
}

function* addContent(content: Y.Item['content'], hash: RunningHash): Generator<undefined, void> {
  if (content instanceof Y.ContentType) {
    hash.add(kindOf(content.type))
    yield* addType(content.type, hash)
  } else for (const value of content.getContent()) hash.add({ value })
}

const kindOf = (type: AnyType): string => (type instanceof Y.Map ? '{}' : type instanceof Y.Array ? '[]' : 'text')
