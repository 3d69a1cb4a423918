import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { z } from 'zod'

const Body = z.looseObject({
  model: z.string(),
  /** Texts to make vectors of. */
  input: z.array(z.string()).default([]),
  system: z.string().optional(),
  messages: z.array(z.object({ role: z.string(), content: z.string() })).default([]),
})

/** What a model is asked. */
export type Asked = {
  readonly path: string
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  readonly body: z.infer<typeof Body>
}

export type ModelServer = {
  readonly url: string
  readonly asked: Asked[]
  /** How long vectors are. */
  dimensions: number
  /** Answers instead of what is usual: a status with a body, or `hang`. Undefined: as usual. */
  fault:
    | ((asked: Asked) => { status: number; body: string; headers?: Record<string, string> } | 'hang' | undefined)
    | undefined
  /** What the text model says. */
  says: string
  stop(): Promise<void>
}

/** Texts about one thing are near to each other, whatever word they use for it. */
const SUBJECTS = [
  ['login', 'authentication', 'sign', 'jwt', 'password'],
  ['database', 'sql', 'migration', 'storage', 'table'],
  ['deploy', 'release', 'docker', 'server', 'production'],
  ['colour', 'css', 'layout', 'style', 'theme'],
]

/** The same text always gets the same vector. */
function vectorOf(text: string, dimensions: number): number[] {
  const vector = Array.from({ length: dimensions }, (_, i) => (i < SUBJECTS.length ? 0.01 : 0.001 * ((i * 7) % 3)))
  for (const word of text.toLowerCase().match(/\p{L}+/gu) ?? []) {
    const subject = SUBJECTS.findIndex((words) => words.includes(word))
    if (subject >= 0 && subject < dimensions) vector[subject] = (vector[subject] ?? 0) + 1
  }
  return vector
}

/** Answers on loopback as OpenAI, Ollama and Anthropic would, with vectors by subject and one fixed sentence. */
export async function startModelServer(): Promise<ModelServer> {
  const hanging = new Set<ServerResponse>()
  const server = createServer((request, response) => void answer(request, response))
  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    let text = ''
    for await (const part of request.setEncoding('utf8')) text += part
    const asked = { path: request.url ?? '', headers: request.headers, body: Body.parse(JSON.parse(text)) }
    model.asked.push(asked)
    const fault = model.fault?.(asked)
    if (fault === 'hang') {
      hanging.add(response)
      return
    }
    response.writeHead(fault?.status ?? 200, { 'content-type': 'application/json', ...fault?.headers })
    response.end(fault?.body ?? JSON.stringify(answerOf(asked, model)))
  }
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  const model: ModelServer = {
    url: `http://127.0.0.1:${address.port}`,
    asked: [],
    dimensions: 8,
    fault: undefined,
    says: 'The team chose JWT.',
    async stop() {
      for (const response of hanging) response.destroy()
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
  return model
}

function answerOf({ path, body }: Asked, { dimensions, says }: ModelServer): object {
  const vectors = (): number[][] => body.input.map((text) => vectorOf(text, dimensions))
  switch (path) {
    case '/embeddings':
      // Out of order: they carry their places.
      return {
        data: vectors()
          .map((embedding, index) => ({ index, embedding }))
          .toReversed(),
      }
    case '/api/embed':
      return { embeddings: vectors() }
    case '/chat/completions':
      return { choices: [{ message: { role: 'assistant', content: says } }], usage: { total_tokens: 321 } }
    case '/v1/messages':
      return { content: [{ type: 'text', text: says }], usage: { input_tokens: 300, output_tokens: 21 } }
    default:
      return {}
  }
}
