import { z } from 'zod'
import type { Embedder } from '../ports/embedder.ts'
import { ModelError } from '../ports/model-error.ts'
import { askModel, bearer, type ModelEndpoint } from './model-http.ts'

export type EmbedderSettings = ModelEndpoint & {
  readonly api: 'openai' | 'ollama'
  readonly model: string
  /** For models that can be asked for shorter vectors (`openai` only). */
  readonly dimensions?: number | undefined
}

const BATCH_MAX = 64
const TIMEOUT_MS = 60_000
/** Models read some thousand tokens at most; what follows would be refused or ignored. */
const TEXT_CHARS_MAX = 8000
/** No known model has longer vectors. */
const DIMENSIONS_MAX = 16_384

const Vector = z.array(z.number()).min(1).max(DIMENSIONS_MAX)
const OpenAiReply = z.object({ data: z.array(z.object({ index: z.int().min(0), embedding: Vector })) })
const OllamaReply = z.object({ embeddings: z.array(Vector) })

/** `POST <url>/embeddings` as OpenAI and many others serve it, or `POST <url>/api/embed` as Ollama does. */
export function createHttpEmbedder(settings: EmbedderSettings): Embedder {
  const { api, url, model, dimensions } = settings
  const ask = api === 'openai' ? askOpenAi : askOllama
  return {
    model: [api, url, model, dimensions ?? ''].join(' '),
    batchMax: BATCH_MAX,
    async embed(texts, signal) {
      const input = texts.map((text) => text.slice(0, TEXT_CHARS_MAX))
      const vectors = (await ask(settings, input, signal)).map((vector) => Float32Array.from(vector))
      const length = vectors[0]?.length
      const isSound = vectors.length === texts.length && vectors.every((vector) => vector.length === length)
      if (!isSound || vectors.some(isWithoutDirection))
        throw new ModelError('setup', `${model} answered with vectors that cannot be compared.`)
      return vectors
    },
  }
}

async function askOpenAi(settings: EmbedderSettings, input: string[], signal: AbortSignal): Promise<number[][]> {
  const { model, dimensions } = settings
  const body = { model, input, encoding_format: 'float', ...(dimensions === undefined ? {} : { dimensions }) }
  const question = { path: '/embeddings', body, headers: bearer, reply: OpenAiReply, timeoutMs: TIMEOUT_MS }
  const { data } = await askModel(settings, question, signal)
  return data.toSorted((a, b) => a.index - b.index).map(({ embedding }) => embedding)
}

async function askOllama(settings: EmbedderSettings, input: string[], signal: AbortSignal): Promise<number[][]> {
  const body = { model: settings.model, input, truncate: true }
  const question = { path: '/api/embed', body, headers: bearer, reply: OllamaReply, timeoutMs: TIMEOUT_MS }
  return (await askModel(settings, question, signal)).embeddings
}

/** All zero, or with numbers that are none. */
const isWithoutDirection = (vector: Float32Array): boolean => {
  const square = vector.reduce((sum, x) => sum + x * x, 0)
  return !(square > 0 && Number.isFinite(square))
}
