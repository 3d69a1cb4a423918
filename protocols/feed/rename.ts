import { createDecoder, readVarUint } from 'lib0/decoding'
import { writeVarUint } from 'lib0/encoding'
import * as Y from 'yjs'

/** Pieces of deleted ranges: a range that is written twice can be cut as often as there are names, again and again. */
const PIECES_MAX = 2 ** 20

/** The new name of a struct, and how many clocks from it on are renamed in one piece (at least one). */
export type Renamed = { readonly client: number; readonly clock: number; readonly length: number }

/** What a struct is called from now on. */
export type Rename = (client: number, clock: number) => Renamed

/**
 * The same update with every struct it writes, refers to or deletes under its new name. Structs of several clients,
 * which no author may write, come back as they are. The update has been found sound before.
 */
export function renameUpdate(update: Uint8Array, rename: Rename): Uint8Array {
  if (readVarUint(createDecoder(update)) > 1) return update
  const { structs, ds } = Y.decodeUpdate(update)
  const renamed = ({ client, clock }: Y.ID): Y.ID => {
    const name = rename(client, clock)
    return Y.createID(name.client, name.clock)
  }
  for (const struct of structs) {
    struct.id = renamed(struct.id)
    if (struct instanceof Y.Item) renameReferences(struct, renamed)
  }
  const encoder = new Y.UpdateEncoderV1()
  writeStructs(encoder, structs)
  writeDeletes(encoder, renameDeletes(ds.clients, rename))
  return encoder.toUint8Array()
}

type Structs = ReturnType<typeof Y.decodeUpdate>['structs']
type Range = { readonly clock: number; readonly len: number }

function renameReferences(item: Y.Item, renamed: (id: Y.ID) => Y.ID): void {
  if (item.origin) item.origin = renamed(item.origin)
  if (item.rightOrigin) item.rightOrigin = renamed(item.rightOrigin)
  // As decoded and not yet integrated, a parent is the name of a top-level type or the id of the item that holds it.
  const parent: unknown = item.parent
  if (parent instanceof Y.ID) item.parent = renamed(parent)
}

function writeStructs(encoder: Y.UpdateEncoderV1, structs: Structs): void {
  const sections = Map.groupBy(structs, ({ id }) => id.client)
  writeVarUint(encoder.restEncoder, sections.size)
  for (const [client, section] of sections) {
    writeVarUint(encoder.restEncoder, section.length)
    encoder.writeClient(client)
    writeVarUint(encoder.restEncoder, section[0]?.id.clock ?? 0)
    for (const struct of section) struct.write(encoder, 0)
  }
}

/** A range that reaches over several names is cut into one for each. */
function renameDeletes(deletes: ReadonlyMap<number, readonly Range[]>, rename: Rename): Map<number, Range[]> {
  const all = new Map<number, Range[]>()
  let count = 0
  for (const [client, ranges] of deletes)
    for (const { clock, len } of ranges)
      for (let at = clock; at < clock + len;) {
        if (++count > PIECES_MAX) return all
        const name = rename(client, at)
        const length = Math.min(name.length, clock + len - at)
        pushTo(all, name.client, { clock: name.clock, len: length })
        at += length
      }
  return all
}

function writeDeletes({ restEncoder: out }: Y.UpdateEncoderV1, deletes: ReadonlyMap<number, readonly Range[]>): void {
  writeVarUint(out, deletes.size)
  for (const [client, ranges] of deletes) {
    writeVarUint(out, client)
    writeVarUint(out, ranges.length)
    for (const { clock, len } of ranges) {
      writeVarUint(out, clock)
      writeVarUint(out, len)
    }
  }
}

function pushTo(all: Map<number, Range[]>, client: number, range: Range): void {
  const ranges = all.get(client)
  if (ranges) ranges.push(range)
  else all.set(client, [range])
}
