import { z } from 'zod'
import { CHUNK_TYPES, type ContextChunk } from '../../crdt/context-chunk.ts'
import { ChunkId, ProjectId, TaskId } from '../../crdt/ids.ts'

/*
 *   segment  a document, with the position it was read at
 *   chunk    what it says. `vector`: 1 has one, 0 cannot get one, null neither
 *   removed  ids that the document says are to be gone
 *   words    the index of words; `project` makes a search one of a single project
 *   surplus  vectors of chunks that are gone
 *   tally    how many chunks there are: counting a hundred thousand rows takes tens of milliseconds
 */
export const SCHEMA = `
  CREATE TABLE segment (no INTEGER PRIMARY KEY, doc TEXT NOT NULL UNIQUE, position TEXT NOT NULL);
  CREATE TABLE chunk (
    no INTEGER PRIMARY KEY, segment INTEGER NOT NULL REFERENCES segment ON DELETE CASCADE,
    id TEXT NOT NULL, project TEXT NOT NULL, content TEXT NOT NULL, type TEXT NOT NULL, instance TEXT, task TEXT,
    files TEXT NOT NULL, importance REAL NOT NULL, author TEXT NOT NULL, created INTEGER NOT NULL, expires INTEGER,
    vector INTEGER, UNIQUE (segment, id)
  );
  CREATE INDEX chunk_id ON chunk (id);
  CREATE INDEX chunk_typed ON chunk (project, type, created DESC, id);
  CREATE INDEX chunk_instance ON chunk (project, instance, created DESC, id) WHERE instance IS NOT NULL;
  CREATE INDEX chunk_task ON chunk (project, task) WHERE task IS NOT NULL;
  CREATE INDEX chunk_newest ON chunk (project, created DESC, id);
  CREATE INDEX chunk_ranked ON chunk (project, importance DESC, created DESC, id);
  CREATE INDEX chunk_best ON chunk (importance DESC, created DESC, id);
  CREATE INDEX chunk_expiry ON chunk (expires) WHERE expires IS NOT NULL;
  CREATE INDEX chunk_vector ON chunk (project) WHERE vector = 1;
  CREATE TABLE removed (
    id TEXT NOT NULL, segment INTEGER NOT NULL REFERENCES segment ON DELETE CASCADE, PRIMARY KEY (id, segment)
  ) WITHOUT ROWID;
  CREATE INDEX removed_segment ON removed (segment);
  CREATE TABLE surplus (id TEXT PRIMARY KEY) WITHOUT ROWID;
  CREATE VIRTUAL TABLE words USING fts5(
    project, text, content='', contentless_delete=1, tokenize='porter unicode61 remove_diacritics 2'
  );
  CREATE TABLE tally (project TEXT NOT NULL, type TEXT NOT NULL, n INTEGER NOT NULL, PRIMARY KEY (project, type))
    WITHOUT ROWID;
  CREATE TRIGGER chunk_new AFTER INSERT ON chunk BEGIN
    INSERT INTO tally VALUES (new.project, new.type, 1) ON CONFLICT DO UPDATE SET n = n + 1;
  END;
  CREATE TRIGGER chunk_gone AFTER DELETE ON chunk BEGIN
    UPDATE tally SET n = n - 1 WHERE project = old.project AND type = old.type;
    DELETE FROM words WHERE rowid = old.no;
    INSERT OR IGNORE INTO surplus SELECT old.id WHERE old.vector = 1;
  END;
`

const Row = z.object({
  id: ChunkId,
  project: ProjectId,
  content: z.string(),
  type: z.enum(CHUNK_TYPES),
  instance: z.string().nullable(),
  task: TaskId.nullable(),
  files: z.string(),
  importance: z.number(),
  author: z.string(),
  created: z.number(),
  expires: z.number().nullable(),
})

export const COLUMNS = Object.keys(Row.shape)
  .map((name) => `chunk.${name}`)
  .join(', ')

export function chunkOf(row: unknown): ContextChunk {
  const { id, project, content, type, instance, task, files, importance, author, created, expires } = Row.parse(row)
  return {
    id,
    projectId: project,
    content,
    type,
    instanceId: instance,
    taskId: task,
    files: z.array(z.string()).parse(JSON.parse(files)),
    importance,
    expiresAt: expires === null ? null : isoTime(expires),
    createdAt: isoTime(created),
    createdBy: author,
  }
}

const isoTime = (ms: number): string => new Date(ms).toISOString()

/** How a project is named in the index of words: one word. */
export const projectWord = (project: string): string => `p${project.replaceAll('-', '')}`
