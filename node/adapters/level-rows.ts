import { type Db, rawEntries, StoreUnusableError, VERSION_KEY } from './level-db.ts'
import type { Bytes } from './level-keys.ts'
import { checkedValue } from './level-values.ts'

/** A key with its value as it is stored, checksum included. */
export type Row = { readonly key: Bytes; readonly value: Bytes }

/** Written, and synced, at once. */
const WRITE_BYTES = 4 * 1024 * 1024

/** All rows of one moment. They are checked: a copy of something damaged would be found out when it is needed. */
export async function* rowsOf(db: Db, dir: string): AsyncGenerator<Row> {
  for await (const [key, value] of rawEntries(db, dir)) yield checked({ key, value }, dir)
}

/** Durable when it resolves. */
export async function writeRows(db: Db, rows: AsyncIterable<Row>): Promise<void> {
  let batch: Row[] = []
  let size = 0
  const write = async (): Promise<void> => {
    await db.batch(
      batch.map(({ key, value }) => ({ type: 'put' as const, key, value })),
      { sync: true },
    )
    batch = []
    size = 0
  }
  for await (const row of rows) {
    batch.push(checked(row, 'the backup'))
    size += row.key.byteLength + row.value.byteLength
    if (size >= WRITE_BYTES) await write()
  }
  if (batch.length > 0) await write()
}

function checked(row: Row, where: string): Row {
  const isVersion = Buffer.compare(row.key, VERSION_KEY) === 0
  if (!isVersion && checkedValue(row.key, row.value) === undefined)
    throw new StoreUnusableError(`${where} holds a value that is not what was stored.`)
  return row
}
