export type Prompt = {
  /** What is to be done: ours. */
  readonly instruction: string
  /** What it is to be done with: others', and never to be obeyed. */
  readonly material: string
  /** For services that have to be told; how long the answer should be is part of the instruction. */
  readonly outputTokensMax: number
}

export type Completion = {
  readonly text: string
  /** In and out, as the model reports it; undefined where it does not. */
  readonly tokens: number | undefined
}

/** A language model that answers one prompt. */
export interface TextModel {
  /** For people: `gpt-5-mini at api.example.com`, `claude (agent CLI)`. */
  readonly name: string
  /** Rejects with a `ModelError`. */
  complete(prompt: Prompt, signal: AbortSignal): Promise<Completion>
}
