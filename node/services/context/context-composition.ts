import { can, type Actor } from '../../../crdt/actor.ts'
import {
  CHUNK_BYTES_MAX,
  CHUNK_CHARS_MAX,
  ChunkInput,
  ChunkRecord,
  type ContextChunk,
} from '../../../crdt/context-chunk.ts'
import { domainError } from '../../../crdt/errors.ts'
import { ChunkId, type ProjectId } from '../../../crdt/ids.ts'
import type { Project } from '../../../crdt/project.ts'
import { err, ok, type Result } from '../../../crdt/result.ts'
import { uuidFromRandom } from '../../../crdt/uuid.ts'
import type { ChunkFilter, ChunkScope } from '../../ports/chunk-index.ts'
import { every } from '../../ports/clock.ts'
import { compile } from './compiling.ts'
import type { ContextDeps } from './context-deps.ts'
import { createContextNotes, type ContextNotes } from './context-notes.ts'
import { searchContext } from './context-search.ts'
import type { ContextService, ContextSummary, ProjectContext } from './context-service.ts'
import { createIndexKeeper, type IndexKeeper } from './index-keeper.ts'
import { createMeaningSearch, type MeaningSearch } from './meaning-search.ts'
import { createOwnSegments, type OwnSegments } from './own-segments.ts'
import { summarise, SUMMARISED_MAX } from './summarising.ts'

/** What was measured to work: a search takes some ten milliseconds in so many. */
const CHUNKS_PER_PROJECT_MAX = 100_000
/** Candidates for the compiled context; those of a hundred tokens each fill the largest windows. */
const COMPILED_MAX = 2000
/** The heading alone takes some of them. */
const TOKENS_PER_CHUNK_MIN = 16
const PURGE_MS = 60_000
const PURGE_BATCH = 500
/** Each costs money, or the account of whoever owns the machine. */
const SUMMARIES_AT_ONCE_MAX = 2
/** It stands for what it was made of. */
const SUMMARY_IMPORTANCE = 0.8

export type RunningContextService = ContextService & {
  readonly keepBroadcast: ContextNotes['broadcast']
  /** What keeps search by meaning from working as it is configured, in words. */
  problem(): string | undefined
  /** Resolves when everything known now can be found. */
  settled(): Promise<void>
  stop(): Promise<void>
}

type Context = ContextDeps & {
  readonly segments: OwnSegments
  readonly keeper: IndexKeeper
  readonly meaningSearch: MeaningSearch | undefined
  /** By project: whoever asks meanwhile gets the same answer. */
  readonly summaries: Map<ProjectId, Promise<Result<ContextSummary>>>
  readonly ending: AbortController
}

/** The context of all projects, on this node. */
export function createContextService(deps: ContextDeps): RunningContextService {
  const known: { meaning?: MeaningSearch } = {}
  const keeper = createIndexKeeper({ ...deps, onChange: () => known.meaning?.chunksChanged() })
  keeper.start()
  if (deps.meaning) known.meaning = createMeaningSearch({ ...deps, ...deps.meaning, keeper })
  const context: Context = {
    ...deps,
    keeper,
    segments: createOwnSegments(deps),
    meaningSearch: known.meaning,
    summaries: new Map(),
    ending: new AbortController(),
  }
  const notes = createContextNotes({
    ...deps,
    add: (chunk) => add(context, undefined, chunk),
    count: (project, filter) => keeper.use((index) => index.count(scopeOf(context, project, filter))),
    dropOldest: (project, filter) => dropOldest(context, scopeOf(context, project, filter)),
    settled: () => keeper.settled(),
  })
  const stopPurging = every(deps.clock, PURGE_MS, () => own(context, purge(context), 'expired chunks were not purged'))
  const unsubscribe = deps.events.subscribe((event) => {
    if (event.type === 'task.completed' && event.node === deps.self)
      own(context, notes.completion(event.projectId, event.task), 'a completed task was not added to the context')
  })
  own(context, notes.resume(), 'completed tasks of the last run were not added to the context')
  return {
    ...createReading(context),
    ...createWriting(context),
    keepBroadcast: (broadcast, by) => notes.broadcast(broadcast, by),
    problem() {
      const problem = known.meaning?.problem() ?? undefined
      return problem && `The context is searched by words only: ${problem}`
    },
    settled: () => keeper.settled(),
    async stop() {
      unsubscribe()
      stopPurging()
      context.ending.abort(new Error('the node stops'))
      keeper.stop()
      await keeper.settled()
      await known.meaning?.stop()
      deps.index.close()
    },
  }
}

function createReading(context: Context): Pick<ContextService, 'get' | 'query' | 'list'> {
  const { projects, keeper, meaningSearch } = context
  return {
    async get(projectId) {
      const project = await projects.get(projectId)
      return project.ok ? ok(await view(context, project.value)) : project
    },
    async query(projectId, query) {
      const project = await projects.get(projectId)
      if (!project.ok) return project
      const scope = scopeOf(context, project.value, query.filter)
      return ok(await searchContext({ keeper, meaning: meaningSearch }, scope, query))
    },
    async list(projectId, filter, page) {
      const project = await projects.get(projectId)
      if (!project.ok) return project
      return ok(keeper.use((index) => index.list(scopeOf(context, project.value, filter), page)))
    },
  }
}

function createWriting(context: Context): Pick<ContextService, 'update' | 'summarise' | 'add' | 'remove'> {
  const { projects } = context
  return {
    async update(actor, projectId, change) {
      const updated = await projects.update(actor, projectId, change)
      return updated.ok ? ok(await view(context, updated.value)) : updated
    },
    async add(actor, projectId, input) {
      if (!can(actor, 'context:write')) return err(domainError('forbidden'))
      const project = await projects.get(projectId)
      return project.ok ? await add(context, actor, { project: project.value, input, by: actor.id }) : project
    },
    async remove(actor, projectId, chunkId) {
      if (!can(actor, 'context:write')) return err(domainError('forbidden'))
      const project = await projects.get(projectId)
      if (!project.ok) return project
      const stored = context.keeper.use((index) => index.locate(scopeOf(context, project.value), chunkId))
      if (!stored) return err(domainError('chunk_not_found'))
      const removed = await context.segments.remove(actor, stored, nowOf(context))
      if (!removed.ok) return removed
      await context.keeper.read(removed.value)
      return ok(null)
    },
    async summarise(actor, projectId) {
      if (!can(actor, 'context:write')) return err(domainError('forbidden'))
      const project = await projects.get(projectId)
      if (!project.ok) return project
      const { id } = project.value
      const running = context.summaries.get(id)
      if (running) return await running
      if (context.summaries.size >= SUMMARIES_AT_ONCE_MAX)
        return err(domainError('rate_limited', { message: 'Other projects are being summarised. Try again later.' }))
      const summary = summariseNewest(context, actor, project.value).finally(() => context.summaries.delete(id))
      context.summaries.set(id, summary)
      return await summary
    },
  }
}

function scopeOf({ projects, clock }: Context, { id }: Project, filter: ChunkFilter = {}): ChunkScope {
  // A machine that knew the project under another id may have written there.
  const ids = [id, ...(projects.resolve(id)?.aliases ?? [])]
  return { ...filter, projects: ids, nowMs: clock.wallMs() }
}

const nowOf = ({ clock }: Context): string => new Date(clock.wallMs()).toISOString()

async function view(context: Context, project: Project): Promise<ProjectContext> {
  const { keeper, tokens, meaningSearch } = context
  const scope = scopeOf(context, project)
  const { chunks, withVector, ranked } = keeper.use((index) => ({
    chunks: index.count(scope),
    withVector: index.vectorCount(scope),
    ranked: index.ranked(
      scope,
      Math.min(COMPILED_MAX, Math.ceil(project.settings.maxContextTokens / TOKENS_PER_CHUNK_MIN)),
    ),
  }))
  const problem = meaningSearch?.problem() ?? null
  const { compiled, usage } = await compile(project, ranked, tokens)
  return { project, compiled, usage, index: { chunks, withVector, isBehind: keeper.isBehind(), problem } }
}

type NewChunk = { readonly project: Project; readonly input: ChunkInput; readonly by: string }

async function add(
  context: Context,
  actor: Actor | undefined,
  { project, input, by }: NewChunk,
): Promise<Result<ContextChunk>> {
  const { keeper, segments, random } = context
  const { expires_at: expires } = input
  const record = ChunkRecord.parse({
    ...input,
    expires_at: expires === null ? null : new Date(expires).toISOString(),
    created_at: nowOf(context),
    created_by: by,
  })
  if (new TextEncoder().encode(JSON.stringify(record)).byteLength > CHUNK_BYTES_MAX)
    return err(domainError('too_large'))
  const scope = scopeOf(context, project)
  if (keeper.use((index) => index.count(scope)) >= CHUNKS_PER_PROJECT_MAX)
    return err(domainError('limit_reached', { message: 'The project has as many chunks as it can have.' }))
  const id = ChunkId.parse(uuidFromRandom(random.bytes(16)))
  const added = await segments.add(actor, project.id, { id, record })
  if (!added.ok) return added
  await keeper.read(added.value)
  return ok({
    id,
    projectId: project.id,
    content: record.content,
    type: record.type,
    instanceId: record.instance_id,
    taskId: record.task_id,
    files: record.files,
    importance: record.importance_score,
    expiresAt: record.expires_at,
    createdAt: record.created_at,
    createdBy: record.created_by,
  })
}

async function dropOldest(context: Context, scope: ChunkScope): Promise<void> {
  const { keeper, segments } = context
  const stored = keeper.use((index) => {
    const { items } = index.list(scope, { page: Math.max(1, index.count(scope)), perPage: 1 })
    return items[0] && index.locate(scope, items[0].id)
  })
  const removed = stored && (await segments.remove(undefined, stored, nowOf(context)))
  if (removed?.ok) await keeper.read(removed.value)
}

async function summariseNewest(context: Context, actor: Actor, project: Project): Promise<Result<ContextSummary>> {
  const { keeper, tokens, ending } = context
  const model = await context.model()
  if (!model) return err(domainError('model_missing'))
  const page = { page: 1, perPage: SUMMARISED_MAX }
  const { items } = keeper.use((index) => index.list(scopeOf(context, project), page))
  if (items.length === 0) return ok({ summary: '', chunksProcessed: 0, tokensUsed: 0, isEstimate: false, chunk: null })
  const made = await summarise({ model, tokens }, items, ending.signal)
  if (!made.ok) return made
  const { text, chunks, tokens: tokensUsed, isEstimate } = made.value
  const content = text.slice(0, CHUNK_CHARS_MAX)
  const input = ChunkInput.parse({ content, type: 'summary', importance_score: SUMMARY_IMPORTANCE })
  const added = await add(context, actor, { project, input, by: actor.id })
  return added.ok ? ok({ summary: text, chunksProcessed: chunks, tokensUsed, isEstimate, chunk: added.value }) : added
}

/** What has expired, and what others have removed, goes out of our segments; what has expired elsewhere out of the index. */
async function purge(context: Context): Promise<void> {
  const { keeper, segments, self, clock } = context
  const spent = keeper.use((index) => index.spent(self, clock.wallMs(), PURGE_BATCH))
  // While the disk or the mesh refuses they stay; they are in no answer anyway.
  await Promise.all(spent.map((stored) => segments.remove(undefined, stored, nowOf(context))))
  if (keeper.use((index) => index.purgeExpired(clock.wallMs(), self)) > 0) context.meaningSearch?.chunksChanged()
}

function own({ log }: Pick<ContextDeps, 'log'>, work: Promise<void>, message: string): void {
  work.catch((error: unknown) => log.error({ err: error }, message))
}
