import { z } from 'zod'
import { ModelError } from '../ports/model-error.ts'
import type { Completion, Prompt, TextModel } from '../ports/text-model.ts'
import { askModel, bearer, type ModelEndpoint } from './model-http.ts'

export type TextModelSettings = ModelEndpoint & { readonly api: 'openai' | 'anthropic'; readonly model: string }

/** A long text takes a large model a minute or two. */
const TIMEOUT_MS = 180_000

const tokens = z.int().min(0)
const OpenAiReply = z.object({
  choices: z.array(z.object({ message: z.object({ content: z.string().nullable() }) })).min(1),
  usage: z.object({ total_tokens: tokens }).nullish(),
})
const AnthropicReply = z.object({
  content: z.array(z.looseObject({ type: z.string(), text: z.string().optional() })),
  usage: z.object({ input_tokens: tokens, output_tokens: tokens }).nullish(),
})

/** `POST <url>/chat/completions` as OpenAI and many others serve it, or `POST <url>/v1/messages` as Anthropic does. */
export function createHttpTextModel(settings: TextModelSettings): TextModel {
  const { api, url, model } = settings
  const ask = api === 'openai' ? askOpenAi : askAnthropic
  return {
    name: `${model} at ${new URL(url).host}`,
    async complete(prompt, signal) {
      const completion = await ask(settings, prompt, signal)
      if (completion.text.trim() === '') throw new ModelError('later', `${model} answered nothing.`)
      return completion
    },
  }
}

async function askOpenAi(settings: TextModelSettings, prompt: Prompt, signal: AbortSignal): Promise<Completion> {
  const messages = [
    { role: 'system', content: prompt.instruction },
    { role: 'user', content: prompt.material },
  ]
  const body = { model: settings.model, messages }
  const question = { path: '/chat/completions', body, headers: bearer, reply: OpenAiReply, timeoutMs: TIMEOUT_MS }
  const { choices, usage } = await askModel(settings, question, signal)
  return { text: choices[0]?.message.content ?? '', tokens: usage?.total_tokens }
}

async function askAnthropic(settings: TextModelSettings, prompt: Prompt, signal: AbortSignal): Promise<Completion> {
  const messages = [{ role: 'user', content: prompt.material }]
  const body = { model: settings.model, system: prompt.instruction, messages, max_tokens: prompt.outputTokensMax }
  const headers = (key: string | undefined) => ({
    'anthropic-version': '2023-06-01',
    ...(key === undefined ? {} : { 'x-api-key': key }),
  })
  const question = { path: '/v1/messages', body, headers, reply: AnthropicReply, timeoutMs: TIMEOUT_MS }
  const { content, usage } = await askModel(settings, question, signal)
  return {
    text: content.map(({ type, text }) => (type === 'text' ? (text ?? '') : '')).join(''),
    tokens: usage ? usage.input_tokens + usage.output_tokens : undefined,
  }
}
