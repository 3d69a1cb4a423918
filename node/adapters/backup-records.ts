import { ByteReader } from './byte-reader.ts'
import { SealedStreamError } from './sealed-stream.ts'

/*
 * What is inside a backup: records of a kind (1 byte), the length of a name (2 bytes), that of a content (4 bytes), the
 * name and the content. First `head` with what the backup is of, last `end` with how many records came before it.
 */
const KINDS = { head: 0x68, file: 0x66, row: 0x72, end: 0x65 } as const
const PREFIX_BYTES = 7

/** Names of facts hold a document and a peer. */
const NAME_BYTES_MAX = 4096
/** A snapshot holds one whole document, and has a checksum. */
const CONTENT_BYTES_MAX = 1024 * 1024 * 1024 + 4
/** Small records are handed on together. */
const BATCH_BYTES = 64 * 1024

export type BackupRecord = {
  readonly kind: keyof typeof KINDS
  /** The key of a row of the store, or a path in the data directory. */
  readonly name: Uint8Array
  readonly content: Uint8Array
}

/** The bytes of these records and of the one that ends them. */
export async function* encodeBackup(records: AsyncIterable<BackupRecord>): AsyncGenerator<Uint8Array> {
  let batch: Uint8Array[] = []
  let size = 0
  let count = 0
  for await (const record of records) {
    batch.push(prefixOf(record), record.name, record.content)
    size += record.name.byteLength + record.content.byteLength
    count++
    if (size < BATCH_BYTES) continue
    yield Buffer.concat(batch)
    batch = []
    size = 0
  }
  const end: BackupRecord = { kind: 'end', name: new Uint8Array(), content: Buffer.from(String(count)) }
  yield Buffer.concat([...batch, prefixOf(end), end.content])
}

/** The records before the end. @throws SealedStreamError when the end is missing or something is not understood */
export async function* decodeBackup(bytes: AsyncIterable<Uint8Array>): AsyncGenerator<BackupRecord> {
  const reader = new ByteReader(bytes)
  for (let count = 0; ; count++) {
    const record = await readRecord(reader)
    if (record.kind !== 'end') {
      yield record
      continue
    }
    const more = await reader.take(1)
    if (more.byteLength > 0 || Buffer.from(record.content).toString() !== String(count)) throw incomplete()
    return
  }
}

async function readRecord(reader: ByteReader): Promise<BackupRecord> {
  const prefix = Buffer.from(await reader.take(PREFIX_BYTES))
  if (prefix.byteLength < PREFIX_BYTES) throw incomplete()
  const kind = Object.entries(KINDS).find(([, code]) => code === prefix.readUInt8(0))?.[0]
  if (kind === undefined)
    throw new SealedStreamError('The backup holds something that this release does not know. Upgrade Rookery.')
  const [nameBytes, contentBytes] = [prefix.readUInt16BE(1), prefix.readUInt32BE(3)]
  if (nameBytes > NAME_BYTES_MAX || contentBytes > CONTENT_BYTES_MAX) throw incomplete()
  const name = await reader.take(nameBytes)
  const content = await reader.take(contentBytes)
  if (name.byteLength < nameBytes || content.byteLength < contentBytes) throw incomplete()
  // `Object.entries` forgets which keys there are.
  return { kind: kind as BackupRecord['kind'], name, content }
}

function prefixOf({ kind, name, content }: BackupRecord): Buffer {
  const prefix = Buffer.alloc(PREFIX_BYTES)
  prefix.writeUInt8(KINDS[kind], 0)
  prefix.writeUInt16BE(name.byteLength, 1)
  prefix.writeUInt32BE(content.byteLength, 3)
  return prefix
}

const incomplete = (): SealedStreamError => new SealedStreamError('The backup is not complete.')
