import type { Actor } from '../../../crdt/actor.ts'
import type { ChunkInput, ContextChunk, FoundChunk, SearchMethod } from '../../../crdt/context-chunk.ts'
import type { Page, PageRequest } from '../../../crdt/page.ts'
import type { Project } from '../../../crdt/project.ts'
import type { Result } from '../../../crdt/result.ts'
import type { ChunkFilter } from '../../ports/chunk-index.ts'

export type Brief = Pick<Project, 'summary' | 'architecture' | 'conventions' | 'currentFocus' | 'recentChanges'>

/** Figures are estimates: each model counts tokens in its own way. */
export type TokenUsage = {
  /** Of the compiled context. */
  readonly total: number
  readonly max: number
  readonly percent: number
}

export type IndexState = {
  readonly chunks: number
  /** Of these, how many can be found by what they mean. */
  readonly withVector: number
  /** Some documents have not been read yet. */
  readonly isBehind: boolean
  /** Why search compares words only, where an embedder is configured. */
  readonly problem: string | null
}

export type ProjectContext = {
  readonly project: Project
  /** Markdown: the brief, then chunks, most important first, as far as `settings.maxContextTokens` allows. */
  readonly compiled: string
  readonly usage: TokenUsage
  readonly index: IndexState
}

export type ContextQuery = {
  readonly query: string
  readonly limit: number
  /** Least `similarity` of what is answered. */
  readonly minSimilarity: number
  readonly filter: ChunkFilter
}

export type ContextAnswer = {
  /** Best first. */
  readonly results: readonly FoundChunk[]
  readonly method: SearchMethod
  /** Why vectors did not take part, where an embedder is configured. */
  readonly degraded: string | null
}

export type ContextSummary = {
  readonly summary: string
  readonly chunksProcessed: number
  readonly tokensUsed: number
  /** The model did not say how many: they were counted here. */
  readonly isEstimate: boolean
  /** The chunk that the summary was kept as; null when there was nothing to summarise. */
  readonly chunk: ContextChunk | null
}

/** What everybody who works on a project should know: its brief, and chunks that are searched by words and by meaning. */
export type ContextService = {
  get(projectId: string): Promise<Result<ProjectContext>>
  query(projectId: string, query: ContextQuery): Promise<Result<ContextAnswer>>
  update(actor: Actor, projectId: string, change: Partial<Brief>): Promise<Result<ProjectContext>>
  /** Has a model summarise the newest chunks, and keeps the result as a chunk. One at a time per project. */
  summarise(actor: Actor, projectId: string): Promise<Result<ContextSummary>>
  /** Newest first. */
  list(projectId: string, filter: ChunkFilter, page: PageRequest): Promise<Result<Page<ContextChunk>>>
  /** Found here at once, elsewhere as soon as it has got there. */
  add(actor: Actor, projectId: string, input: ChunkInput): Promise<Result<ContextChunk>>
  remove(actor: Actor, projectId: string, chunkId: string): Promise<Result<null>>
}
