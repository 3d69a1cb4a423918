import { MEMORY, openChunkIndex } from '../../node/adapters/sqlite-chunk-index.ts'
import { createGptTokenCounter } from '../../node/adapters/gpt-tokens.ts'
import type { Actor } from '../../crdt/actor.ts'
import { ChunkInput, type ContextChunk } from '../../crdt/context-chunk.ts'
import { domainError } from '../../crdt/errors.ts'
import { ProjectId } from '../../crdt/ids.ts'
import type { Project } from '../../crdt/project.ts'
import type { Task } from '../../crdt/task.ts'
import { err, ok, type Result } from '../../crdt/result.ts'
import type { ChunkIndex } from '../../node/ports/chunk-index.ts'
import type { TextModel } from '../../node/ports/text-model.ts'
import { createContextService, type RunningContextService } from '../../node/services/context/context-composition.ts'
import type { Meaning } from '../../node/services/context/context-deps.ts'
import type { ContextAnswer, ContextQuery } from '../../node/services/context/context-service.ts'
import { openPendingCompletions, type PendingCompletions } from '../../node/services/context/pending-completions.ts'
import { createEventHub, type EventHub } from '../../node/services/event-hub.ts'
import { settle } from './clock.ts'
import { plainProject } from './plain-project.ts'
import { createSeededRandom } from './identity.ts'
import { createTestReplica, type TestMembership, type TestReplica } from './replicas.ts'

export const CONTEXT_PROJECT = ProjectId.parse('00000000-0000-4000-8000-0000000000a1')
export const ALIAS = ProjectId.parse('00000000-0000-4000-8000-0000000000a9')

export type ContextNode = {
  readonly replica: TestReplica
  readonly context: RunningContextService
  readonly completions: PendingCompletions
  readonly index: ChunkIndex
  readonly events: EventHub
  readonly actor: Actor
  removeProject(): void
  add(content: string, more?: Partial<ChunkInput>): Promise<ContextChunk>
  query(query: string, more?: Partial<ContextQuery>): Promise<ContextAnswer>
  contents(): Promise<string[]>
  /** Lets time pass and everything that follows from it happen. */
  pass(ms?: number): Promise<void>
}

type Options = {
  readonly project?: Partial<Project>
  readonly index?: ChunkIndex
  readonly meaning?: Meaning
  readonly model?: TextModel
  readonly replica?: TestReplica
  /** The tasks that there are. */
  readonly tasks?: (id: string) => Result<Task> | undefined
}

/** The context service over real documents and a real index, with one project under two ids. */
export async function createContextNode(
  n: number,
  membership: TestMembership,
  options: Options = {},
): Promise<ContextNode> {
  const replica = options.replica ?? (await createTestReplica(n, membership))
  const { documents, clock, log, peer } = replica
  const index = options.index ?? openChunkIndex(MEMORY)
  const events = createEventHub(log)
  const there: { project: Partial<Project> | undefined } = { project: options.project ?? {} }
  const found = (id: string): Result<Project> =>
    there.project && (id === CONTEXT_PROJECT || id === ALIAS)
      ? ok({ ...PROJECT, ...there.project })
      : err(domainError('project_not_found'))
  const completions = await openPendingCompletions(replica)
  const context = createContextService({
    self: peer,
    documents,
    projects: {
      get: async (id) => found(id),
      resolve: (id) => (found(id).ok ? { id: CONTEXT_PROJECT, aliases: [ALIAS] } : undefined),
      update: async (_actor, id, change) => {
        const { settings: _, ...brief } = change
        there.project = { ...there.project, ...brief }
        return found(id)
      },
    },
    tasks: { get: async (id) => options.tasks?.(id) ?? err(domainError('task_not_found')) },
    completions,
    events,
    index,
    tokens: createGptTokenCounter(),
    meaning: options.meaning,
    model: async () => options.model,
    clock,
    random: createSeededRandom(n),
    log,
  })
  const node: ContextNode = {
    replica,
    context,
    completions,
    index,
    events,
    actor: { kind: 'user', id: `user ${n}`, tokenId: 't', abilities: ['*'], gateway: peer },
    removeProject() {
      there.project = undefined
      events.publish({ type: 'project.deleted', projectId: CONTEXT_PROJECT })
    },
    add: async (content, more = {}) =>
      valueOf(await context.add(node.actor, CONTEXT_PROJECT, ChunkInput.parse({ content, ...more }))),
    query: async (query, more = {}) =>
      valueOf(await context.query(CONTEXT_PROJECT, { query, limit: 10, minSimilarity: 0, filter: {}, ...more })),
    contents: async () =>
      valueOf(await context.list(CONTEXT_PROJECT, {}, { page: 1, perPage: 1000 })).items.map(({ content }) => content),
    async pass(ms = 0) {
      await clock.advance(ms)
      await settle()
    },
  }
  return node
}

const PROJECT = plainProject(CONTEXT_PROJECT)

export function valueOf<T>(result: Result<T>): T {
  if (!result.ok) throw new Error(`${result.error.code}: ${result.error.message}`)
  return result.value
}
