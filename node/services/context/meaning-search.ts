import type { ProjectId } from '../../../crdt/ids.ts'
import type { Cancel } from '../../ports/clock.ts'
import { ModelError } from '../../ports/model-error.ts'
import { randomFraction } from '../../ports/random.ts'
import type { VectorHit, VectorIndex, VectorItem } from '../../ports/vector-index.ts'
import type { ContextDeps, Meaning } from './context-deps.ts'
import type { IndexKeeper } from './index-keeper.ts'

/** Vectors are written together: some indexes write all they have each time. */
const COMMIT_AT = 512
const RETRY_MS = { first: 1000, most: 5 * 60_000 }
/** What is wrong with the configuration is mended by a person. */
const SETUP_RETRY_MS = 60_000
/** Whoever asks does not wait longer for a vector of the question: words are compared meanwhile. */
const QUESTION_MS = 3000
/** Questions whose vectors are asked for at once. */
const QUESTIONS_MAX = 8
/** After a question without an answer the next ones are not made to wait for so long. */
const PAUSE_MS = 10_000
const SURPLUS_BATCH = 1000

export type Found = { readonly hits: readonly VectorHit[] } | { readonly why: string }

export type MeaningSearch = {
  /** The nearest chunks, or why there is no telling. Never waits long. */
  search(text: string, projects: readonly ProjectId[], limit: number): Promise<Found>
  /** There are other chunks than before. */
  chunksChanged(): void
  problem(): string | null
  stop(): Promise<void>
}

type MeaningDeps = Pick<ContextDeps, 'clock' | 'random' | 'log'> & Meaning & { readonly keeper: IndexKeeper }

/**
 * Sees to it that the most important chunks have vectors, as many as the vector index takes. What is to be done is read
 * from the index of chunks each time: there is no queue to fill up, and a restart goes on where it was.
 */
export function createMeaningSearch(deps: MeaningDeps): MeaningSearch {
  const search = new Search(deps)
  search.chunksChanged()
  return search
}

class Search implements MeaningSearch {
  readonly #deps: MeaningDeps
  readonly #ending = new AbortController()
  /** Made and not written yet. */
  readonly #made = new Map<string, VectorItem>()
  #vectors: VectorIndex | undefined
  #working: Promise<void> | undefined
  #isWanted = false
  #cancelRetry: Cancel | undefined
  #retryMs = RETRY_MS.first
  #problem: string | null = null
  #questions = 0
  #pausedUntilMs = 0
  /** Texts are asked for one at a time: one of the last batch was refused. */
  #isSingly = false

  constructor(deps: MeaningDeps) {
    this.#deps = deps
  }

  chunksChanged(): void {
    this.#isWanted = true
    if (this.#working || this.#cancelRetry || this.#ending.signal.aborted) return
    this.#working = this.#work().finally(() => {
      this.#working = undefined
      if (this.#isWanted) this.chunksChanged()
    })
  }

  problem(): string | null {
    return this.#problem
  }

  async search(text: string, projects: readonly ProjectId[], limit: number): Promise<Found> {
    const { clock, embedder, log } = this.#deps
    if (this.#problem !== null) return { why: this.#problem }
    if (!this.#vectors) return { why: 'The vectors are being opened.' }
    if (clock.monoMs() < this.#pausedUntilMs) return { why: NO_ANSWER }
    if (this.#questions >= QUESTIONS_MAX) return { why: 'The embedder has too many questions at once.' }
    const late = new AbortController()
    const cancel = clock.after(QUESTION_MS, () => late.abort(new Error(NO_ANSWER)))
    this.#questions += 1
    try {
      const [vector] = await embedder.embed([text], AbortSignal.any([late.signal, this.#ending.signal]))
      const { dimensions } = this.#vectors
      if (!vector || (dimensions !== undefined && vector.length !== dimensions)) {
        this.chunksChanged()
        return { why: 'The embedder makes other vectors than before.' }
      }
      return { hits: await this.#vectors.nearest(vector, projects, limit) }
    } catch (error) {
      this.#pausedUntilMs = clock.monoMs() + PAUSE_MS
      log.debug({ err: error }, 'a question got no vector')
      return { why: error instanceof ModelError ? error.message : NO_ANSWER }
    } finally {
      cancel()
      this.#questions -= 1
    }
  }

  async stop(): Promise<void> {
    this.#ending.abort(new Error('the node stops'))
    this.#cancelRetry?.()
    await this.#working
    await this.#vectors?.close()
  }

  async #work(): Promise<void> {
    this.#isWanted = false
    try {
      const vectors = (this.#vectors ??= await this.#open())
      await this.#dropSurplus(vectors)
      while (await this.#step(vectors));
      await this.#commit(vectors)
      this.#succeeded()
    } catch (error) {
      if (!this.#ending.signal.aborted) this.#failed(error)
    }
  }

  async #open(): Promise<VectorIndex> {
    const { openVectors, keeper } = this.#deps
    const vectors = await openVectors()
    // Either of the two may have been lost without the other.
    keeper.use((index) => index.resetVectors(vectors.ids()))
    return vectors
  }

  /** Makes vectors for a few texts; false when all have theirs. */
  async #step(vectors: VectorIndex): Promise<boolean> {
    const { embedder, keeper, clock } = this.#deps
    const limit = this.#isSingly ? 1 : embedder.batchMax
    const texts = keeper
      .use((index) => index.withoutVector(vectors.capacity, this.#made.size + limit, clock.wallMs()))
      .filter(({ id }) => !this.#made.has(id))
      .slice(0, limit)
    if (texts.length === 0) return false
    const made = await this.#embed(texts.map(({ content }) => content))
    if (made === 'refused') {
      if (this.#isSingly) keeper.use((index) => index.markVectors([texts[0]?.id ?? ''], 'no'))
      this.#isSingly = !this.#isSingly
      return true
    }
    this.#succeeded()
    await this.#startAnewIfOther(vectors, made[0]?.length)
    for (const [i, vector] of made.entries()) {
      const text = texts[i]
      if (text) this.#made.set(text.id, { id: text.id, group: text.project, vector })
    }
    if (this.#made.size >= COMMIT_AT) await this.#commit(vectors)
    return true
  }

  async #embed(texts: readonly string[]): Promise<readonly Float32Array[] | 'refused'> {
    try {
      return await this.#deps.embedder.embed(texts, this.#ending.signal)
    } catch (error) {
      if (error instanceof ModelError && error.kind === 'input') return 'refused'
      throw error
    }
  }

  async #dropSurplus(vectors: VectorIndex): Promise<void> {
    const { keeper } = this.#deps
    for (;;) {
      const surplus = keeper.use((index) => index.surplusVectors(vectors.capacity, SURPLUS_BATCH))
      if (surplus.length === 0) return
      await vectors.remove(surplus)
      keeper.use((index) => index.forgetSurplus(surplus))
    }
  }

  /** The model behind the name has been replaced: its vectors cannot be compared with those there are. */
  async #startAnewIfOther(vectors: VectorIndex, length: number | undefined): Promise<void> {
    const [first] = this.#made.values()
    const known = vectors.dimensions ?? first?.vector.length
    if (known === undefined || length === known) return
    this.#deps.log.warn({ from: known, to: length }, 'the embedder makes vectors of another length: all are made anew')
    this.#made.clear()
    await vectors.clear()
    this.#deps.keeper.use((index) => index.resetVectors([]))
  }

  async #commit(vectors: VectorIndex): Promise<void> {
    if (this.#made.size === 0) return
    await this.#dropSurplus(vectors)
    // More important chunks may have come since; what has no room now is chosen again if it should be.
    const room = Math.max(0, vectors.capacity - vectors.ids().length)
    const items = [...this.#made.values()].slice(0, room)
    await vectors.put(items)
    this.#deps.keeper.use((index) =>
      index.markVectors(
        items.map(({ id }) => id),
        'yes',
      ),
    )
    this.#made.clear()
  }

  #succeeded(): void {
    if (this.#problem !== null) this.#deps.log.info({}, 'the embedder answers again')
    this.#problem = null
    this.#retryMs = RETRY_MS.first
  }

  #failed(error: unknown): void {
    const { clock, random, log } = this.#deps
    const isKnown = error instanceof ModelError
    if (this.#problem === null) log.warn({ err: error }, 'chunks get no vectors for now; search compares words')
    this.#problem = isKnown ? error.message : 'The vectors cannot be written. The log of the node says more.'
    const waitMs =
      (isKnown && error.retryAfterMs) ||
      (isKnown && error.kind === 'setup' ? SETUP_RETRY_MS : this.#retryMs * (0.5 + randomFraction(random)))
    this.#retryMs = Math.min(RETRY_MS.most, 2 * this.#retryMs)
    this.#cancelRetry = clock.after(Math.min(waitMs, RETRY_MS.most), () => {
      this.#cancelRetry = undefined
      this.chunksChanged()
    })
  }
}

const NO_ANSWER = 'The embedder did not answer in time.'
