import { fastify } from 'fastify'
import { answerCalls } from '../calls.ts'

const app = fastify()

const calls = {
  /** Answers this path with this body, and nothing else. Returns the base address. */
  async serve({ path, body }: { path: string; body: unknown }) {
    app.get(path, () => body)
    return await app.listen({ host: '127.0.0.1', port: 0 })
  },
}
export type BareFastifyCalls = typeof calls

answerCalls(calls, () => app.close())
