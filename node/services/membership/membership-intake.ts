import type { MeshId } from '../../../crdt/ids.ts'
import { toHex } from '../../../protocols/codec.ts'
import type { Crypto } from '../../../protocols/crypto.ts'
import { admissionRefusal } from '../../../protocols/membership/admission.ts'
import { isAncestor, type RecordGraph } from '../../../protocols/membership/graph.ts'
import { type LogRecord, parseRecord, type RecordRefusal } from '../../../protocols/membership/records.ts'
import type { Log } from '../../ports/log.ts'
import { createOrphanage } from './membership-orphans.ts'

/** Far more than a mesh of people's machines makes in its life; every node keeps the whole log in memory. */
export const RECORDS_MAX = 8192
/** So that no single member can fill the log, or make resolving it slow: conflicts grow with the square. */
export const RECORDS_PER_AUTHOR_MAX = 2048

export type Intake = {
  /** Adds the record and whatever waited for it, or keeps it until its parents come, or refuses and logs it. */
  take(bytes: Uint8Array): void
  /** Why the record, whose parents are here, may not enter. */
  refusalOf(record: LogRecord): RecordRefusal | undefined
}

/** The door through which records from elsewhere enter the graph. */
export function createIntake(
  { crypto, log, mesh }: { crypto: Crypto; log: Log; mesh: MeshId },
  graph: RecordGraph,
): Intake {
  const orphans = createOrphanage()
  const refusalOf = (record: LogRecord): RecordRefusal | undefined => {
    if (graph.nodes.length >= RECORDS_MAX) return 'limit_reached'
    const ofAuthor = graph.nodes.filter((node) => node.record.author === record.author).length
    if (ofAuthor >= RECORDS_PER_AUTHOR_MAX) return 'limit_reached'
    return admissionRefusal(crypto, graph, graph.place(record))
  }
  const addOrRefuse = (record: LogRecord): void => {
    const why = refusalOf(record)
    if (why === undefined) graph.add(record)
    else log.warn({ record: record.key, author: record.author, why }, 'refused a membership record')
  }
  return {
    refusalOf,
    take(bytes) {
      if (graph.find(toHex(crypto.sha256(bytes)))) return
      const parsed = parseRecord(crypto, bytes)
      const why = parsed.ok ? (parsed.value.mesh === mesh ? undefined : 'foreign_mesh') : parsed.error
      if (why !== undefined || !parsed.ok) {
        log.warn({ why, bytes: bytes.byteLength }, 'refused a membership record')
        return
      }
      for (let open = [parsed.value], record = open.pop(); record; record = open.pop()) {
        if (graph.missingParents(record).length > 0) {
          orphans.keep(record)
          continue
        }
        addOrRefuse(record)
        open.push(...orphans.release((orphan) => graph.missingParents(orphan).length === 0))
      }
    },
  }
}

/** Records that are neither these heads nor their ancestors, parents first. */
export function recordsAfter(graph: RecordGraph, heads: readonly Uint8Array[]): Uint8Array[] {
  const known = heads.flatMap((hash) => graph.find(toHex(hash)) ?? [])
  const isKnown = (node: (typeof known)[number]): boolean =>
    known.some((head) => head === node || isAncestor(node, head))
  return graph.nodes.filter((node) => !isKnown(node)).map(({ record }) => record.bytes)
}
