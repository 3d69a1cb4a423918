import type { PeerId } from '../../../crdt/ids.ts'
import type { ChunkIndex } from '../../ports/chunk-index.ts'
import type { Clock } from '../../ports/clock.ts'
import type { Embedder } from '../../ports/embedder.ts'
import type { Log } from '../../ports/log.ts'
import type { Random } from '../../ports/random.ts'
import type { TextModel } from '../../ports/text-model.ts'
import type { TokenCounter } from '../../ports/token-counter.ts'
import type { VectorIndex } from '../../ports/vector-index.ts'
import type { EventHub } from '../event-hub.ts'
import type { Documents } from '../feeds/documents.ts'
import type { TaskService } from '../tasks/task-service.ts'
import type { PendingCompletions } from './pending-completions.ts'
import type { Projects } from '../projects/project-service.ts'

export type ContextDeps = {
  readonly self: PeerId
  readonly documents: Documents
  readonly projects: Pick<Projects, 'get' | 'resolve' | 'update'>
  readonly tasks: Pick<TaskService, 'get'>
  readonly completions: PendingCompletions
  readonly events: EventHub
  readonly index: ChunkIndex
  readonly tokens: TokenCounter
  /** Undefined: chunks are searched by words only. */
  readonly meaning: Meaning | undefined
  /** The model to summarise with that there is now. */
  readonly model: () => Promise<TextModel | undefined>
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
}

export type Meaning = {
  readonly embedder: Embedder
  /** Opens the vectors of the embedder's model; those of other models go. */
  readonly openVectors: () => Promise<VectorIndex>
}
