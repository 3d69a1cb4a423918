import { rmSync } from 'node:fs'
import { DatabaseSync, type SQLInputValue, type StatementSync } from 'node:sqlite'
import type { ChunkRecord, ContextChunk } from '../../crdt/context-chunk.ts'
import type { ChunkId, DocId, ProjectId } from '../../crdt/ids.ts'
import type { Page, PageRequest } from '../../crdt/page.ts'
import {
  IndexDamagedError,
  type ChunkIndex,
  type ChunkScope,
  type ChunkText,
  type IndexedSegment,
  type StoredChunk,
  type WordHit,
} from '../ports/chunk-index.ts'
import { among, belonging, conditions, countHidden } from './chunk-conditions.ts'
import { chunkOf, COLUMNS, projectWord, SCHEMA } from './chunk-rows.ts'
import { withParts } from './query-words.ts'
import { searchWords } from './word-search.ts'

/** Of the tables; a file with another one is made anew. */
const FORMAT = 1
/** The file was not closed: it is examined when it is opened again. */
const IN_USE = -FORMAT
/** Instead of a file: where the disk takes none. */
export const MEMORY = ':memory:'
/** Pages of the file that SQLite keeps in memory, in kB. */
const CACHE_KB = 8 * 1024

/**
 * The index of chunks as one SQLite file, with FTS5 for words. A file that is damaged or of another format is replaced by
 * an empty one when it is opened.
 */
export function openChunkIndex(file: string): ChunkIndex {
  return new SqliteChunkIndex(file)
}

class SqliteChunkIndex implements ChunkIndex {
  readonly #file: string
  readonly #statements = new Map<string, StatementSync>()
  #db: DatabaseSync

  constructor(file: string) {
    this.#file = file
    this.#db = openSound(file) ?? this.#create()
  }

  segments(): ReadonlyMap<DocId, string> {
    const rows = this.#all('SELECT doc, position FROM segment')
    return new Map(rows.map(({ doc, position }) => [String(doc) as DocId, String(position)]))
  }

  putSegment({ doc, project, position, chunks, removed }: IndexedSegment): void {
    this.#transaction(() => {
      this.#run(
        'INSERT INTO segment (doc, position) VALUES (?, ?) ON CONFLICT (doc) DO UPDATE SET position = excluded.position',
        doc,
        position,
      )
      const no = Number(this.#first('SELECT no FROM segment WHERE doc = ?', doc)?.no)
      this.#run(
        'DELETE FROM chunk WHERE segment = ? AND id NOT IN (SELECT value FROM json_each(?))',
        no,
        JSON.stringify([...chunks.keys()]),
      )
      // What is written is never changed by its author: what is known needs no second look.
      const known = new Set(this.#all('SELECT id FROM chunk WHERE segment = ?', no).map(({ id }) => String(id)))
      for (const [id, record] of chunks) if (!known.has(id)) this.#addChunk(no, { project, id, record })
      this.#run('DELETE FROM removed WHERE segment = ?', no)
      for (const id of removed) this.#run('INSERT INTO removed (id, segment) VALUES (?, ?)', id, no)
    })
  }

  dropSegment(doc: DocId): void {
    this.#transaction(() => this.#run('DELETE FROM segment WHERE doc = ?', doc))
  }

  get(scope: ChunkScope, ids: readonly string[]): readonly ContextChunk[] {
    const { where, values } = conditions(scope)
    const rows = this.#all(
      `SELECT ${COLUMNS} FROM chunk WHERE id IN (SELECT value FROM json_each(?)) AND ${where} GROUP BY id`,
      JSON.stringify(ids),
      ...values,
    )
    return rows.map(chunkOf)
  }

  list(scope: ChunkScope, { page, perPage }: PageRequest): Page<ContextChunk> {
    const { where, values } = conditions(scope)
    const rows = this.#all(
      `SELECT ${COLUMNS} FROM chunk WHERE ${where} ORDER BY created DESC, id LIMIT ? OFFSET ?`,
      ...values,
      perPage,
      (page - 1) * perPage,
    )
    return { items: rows.map(chunkOf), total: this.count(scope), page, perPage }
  }

  count(scope: ChunkScope): number {
    const { sql, values } = countHidden(scope)
    return this.#countBelonging(scope) - Number(this.#first(sql, ...values)?.n ?? 0)
  }

  ranked(scope: ChunkScope, limit: number): readonly ContextChunk[] {
    const { where, values } = conditions(scope)
    const order = 'importance DESC, created DESC, id'
    return this.#all(`SELECT ${COLUMNS} FROM chunk WHERE ${where} ORDER BY ${order} LIMIT ?`, ...values, limit).map(
      chunkOf,
    )
  }

  search(scope: ChunkScope, text: string, limit: number): readonly WordHit[] | undefined {
    return searchWords((sql, ...values) => this.#all(sql, ...values), { scope, text, limit })
  }

  locate(scope: ChunkScope, id: string): StoredChunk | undefined {
    const { where, values } = conditions(scope)
    const row = this.#first(
      `SELECT chunk.id, doc FROM chunk JOIN segment ON segment.no = segment WHERE chunk.id = ? AND ${where} ORDER BY doc`,
      id,
      ...values,
    )
    return row && storedChunk(row)
  }

  spent(author: string, nowMs: number, limit: number): readonly StoredChunk[] {
    return this.#all(
      `SELECT chunk.id, doc FROM chunk JOIN segment ON segment.no = segment
       WHERE doc LIKE ? AND (expires <= ? OR chunk.id IN (SELECT id FROM removed)) LIMIT ?`,
      `%/${author}/%`,
      nowMs,
      limit,
    ).map(storedChunk)
  }

  purgeExpired(nowMs: number, exceptOf: string): number {
    const others = 'SELECT no FROM segment WHERE doc NOT LIKE ?'
    return this.#transaction(() =>
      this.#run(`DELETE FROM chunk WHERE expires <= ? AND segment IN (${others})`, nowMs, `%/${exceptOf}/%`),
    )
  }

  withoutVector(capacity: number, limit: number, nowMs: number): readonly ChunkText[] {
    const rows = this.#all(
      `SELECT id, project, content, vector FROM
         (SELECT * FROM chunk WHERE expires IS NULL OR expires > ?
          ORDER BY importance DESC, created DESC, id LIMIT ?)
       WHERE vector IS NULL LIMIT ?`,
      nowMs,
      capacity,
      limit,
    )
    return rows.map(({ id, project, content }) => ({
      id: String(id) as ChunkId,
      project: String(project) as ProjectId,
      content: String(content),
    }))
  }

  markVectors(ids: readonly string[], state: 'yes' | 'no'): void {
    const all = JSON.stringify(ids)
    this.#transaction(() => {
      const mark = state === 'yes' ? 1 : 0
      this.#run('UPDATE chunk SET vector = ? WHERE id IN (SELECT value FROM json_each(?))', mark, all)
      if (state === 'yes') this.#run(WITHOUT_CHUNK, all)
    })
  }

  resetVectors(ids: Iterable<string>): void {
    const all = JSON.stringify([...ids])
    this.#transaction(() => {
      this.#run('DELETE FROM surplus')
      this.#run('UPDATE chunk SET vector = NULL WHERE vector IS NOT NULL')
      this.#run('UPDATE chunk SET vector = 1 WHERE id IN (SELECT value FROM json_each(?))', all)
      this.#run(WITHOUT_CHUNK, all)
    })
  }

  surplusVectors(capacity: number, limit: number): readonly string[] {
    const isTooMany = Number(this.#first('SELECT sum(n) AS n FROM tally')?.n ?? 0) > capacity
    if (!isTooMany) return this.#all('SELECT id FROM surplus LIMIT ?', limit).map(({ id }) => String(id))
    const best = 'SELECT no FROM chunk ORDER BY importance DESC, created DESC, id LIMIT ?'
    const rows = this.#all(
      `SELECT id FROM surplus UNION SELECT id FROM chunk WHERE vector = 1 AND no NOT IN (${best}) LIMIT ?`,
      capacity,
      limit,
    )
    return rows.map(({ id }) => String(id))
  }

  forgetSurplus(ids: readonly string[]): void {
    const all = JSON.stringify(ids)
    this.#transaction(() => {
      this.#run('DELETE FROM surplus WHERE id IN (SELECT value FROM json_each(?))', all)
      this.#run('UPDATE chunk SET vector = NULL WHERE id IN (SELECT value FROM json_each(?))', all)
    })
  }

  vectorCount(scope: ChunkScope): number {
    const { where, values } = conditions(scope)
    return Number(this.#first(`SELECT count(*) AS n FROM chunk WHERE vector = 1 AND ${where}`, ...values)?.n)
  }

  reset(): void {
    this.#statements.clear()
    closeAnyhow(this.#db)
    this.#db = this.#create()
  }

  close(): void {
    this.#statements.clear()
    if (!this.#db.isOpen) return
    this.#db.exec(`PRAGMA user_version = ${FORMAT}`)
    this.#db.close()
  }

  #countBelonging(scope: ChunkScope): number {
    const { projects, types, files, instanceId, taskId } = scope
    const { where, values } = belonging(scope)
    const isTallied = files === undefined && instanceId === undefined && taskId === undefined
    const row = isTallied
      ? this.#first(
          `SELECT sum(n) AS n FROM tally WHERE project ${among(projects)}${types ? ` AND type ${among(types)}` : ''}`,
          ...projects,
          ...(types ?? []),
        )
      : this.#first(`SELECT count(*) AS n FROM chunk WHERE ${where}`, ...values)
    return Number(row?.n ?? 0)
  }

  #addChunk(segment: number, { project, id, record }: NewChunk): void {
    const files = JSON.stringify(record.files)
    const expires = record.expires_at === null ? null : Date.parse(record.expires_at)
    const { no = null } =
      this.#first(
        `INSERT INTO chunk
           (segment, id, project, content, type, instance, task, files, importance, author, created, expires)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING no`,
        segment,
        id,
        project,
        record.content,
        record.type,
        record.instance_id,
        record.task_id,
        files,
        record.importance_score,
        record.created_by,
        Date.parse(record.created_at),
        expires,
      ) ?? {}
    const text = withParts([record.content, ...record.files].join('\n'))
    this.#run('INSERT INTO words (rowid, project, text) VALUES (?, ?, ?)', Number(no), projectWord(project), text)
  }

  #create(): DatabaseSync {
    if (this.#file !== MEMORY) for (const suffix of ['', '-wal', '-shm']) rmSync(this.#file + suffix, { force: true })
    const db = connect(this.#file)
    db.exec(SCHEMA)
    db.exec(`PRAGMA user_version = ${IN_USE}`)
    return db
  }

  #transaction<T>(work: () => T): T {
    return guarded(() => {
      this.#db.exec('BEGIN IMMEDIATE')
      try {
        const value = work()
        this.#db.exec('COMMIT')
        return value
      } catch (error) {
        if (this.#db.isTransaction) this.#db.exec('ROLLBACK')
        throw error
      }
    })
  }

  #all(sql: string, ...values: SQLInputValue[]): Record<string, unknown>[] {
    return guarded(() => this.#statement(sql).all(...values))
  }

  #first(sql: string, ...values: SQLInputValue[]): Record<string, unknown> | undefined {
    return guarded(() => this.#statement(sql).get(...values))
  }

  #run(sql: string, ...values: SQLInputValue[]): number {
    return guarded(() => Number(this.#statement(sql).run(...values).changes))
  }

  /** The texts are few: filters make some dozens of them. */
  #statement(sql: string): StatementSync {
    const known = this.#statements.get(sql)
    if (known) return known
    const statement = this.#db.prepare(sql)
    this.#statements.set(sql, statement)
    return statement
  }
}

/** Of these vectors, those whose chunk is gone by now. */
const WITHOUT_CHUNK =
  'INSERT OR IGNORE INTO surplus SELECT value FROM json_each(?) WHERE value NOT IN (SELECT id FROM chunk)'

type NewChunk = { readonly project: ProjectId; readonly id: ChunkId; readonly record: ChunkRecord }

function connect(file: string): DatabaseSync {
  const db = new DatabaseSync(file)
  // Losing the last moments in a power cut costs nothing: they are indexed again.
  db.exec(`PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA cache_size = -${CACHE_KB}`)
  return db
}

/** Undefined when there is none, or not one that can be used. */
function openSound(file: string): DatabaseSync | undefined {
  let db: DatabaseSync | undefined
  try {
    db = connect(file)
    const version = db.prepare('PRAGMA user_version').get()?.user_version
    const isWhole = (): boolean => db?.prepare('PRAGMA quick_check(1)').get()?.quick_check === 'ok'
    if (version === FORMAT || (version === IN_USE && isWhole())) {
      db.exec(`PRAGMA user_version = ${IN_USE}`)
      return db
    }
  } catch {
    // Not a database: as good as none.
  }
  if (db) closeAnyhow(db)
  return undefined
}

function closeAnyhow(db: DatabaseSync): void {
  try {
    if (db.isOpen) db.close()
  } catch {
    // What is damaged may not be closable either; the file goes anyway.
  }
}

/** SQLITE_CORRUPT and SQLITE_NOTADB, whatever they are called in detail. */
const DAMAGED = new Set([11, 26])

function guarded<T>(work: () => T): T {
  try {
    return work()
  } catch (error) {
    const code = error instanceof Error && 'errcode' in error ? Number(error.errcode) : 0
    if (DAMAGED.has(code & 0xff)) throw new IndexDamagedError('The index of the context is damaged.', { cause: error })
    throw error
  }
}

const storedChunk = ({ id, doc }: Record<string, unknown>): StoredChunk => ({
  id: String(id) as ChunkId,
  doc: String(doc) as DocId,
})
