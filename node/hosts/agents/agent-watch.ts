import { setTimeout as delay } from 'node:timers/promises'
import type { SessionUsage } from '../../../crdt/session.ts'
import type { SessionSpec } from '../../ports/session-host.ts'
import { createClaudeTranscript } from './claude-transcript.ts'
import { createMessageComposer, userMessage } from './message-composer.ts'
import { createRecordStream, type AgentLine } from './record-stream.ts'

/** An agent that prints has done something; what it notes of it is looked up this much later, once. */
const TRANSCRIPT_MS = 3000
/** The last look, before the session is told to have ended. */
const LAST_LOOK_MS = 2000

export type AgentState = { readonly usage: SessionUsage | null; readonly waiting: boolean }

/** What is known of the agent in a session, and how it is spoken to. */
export type AgentWatch = {
  readonly state: AgentState
  /** Takes standard output; the lines that it completes, or undefined for a program that prints no records. */
  output(bytes: Uint8Array): AgentLine[] | undefined
  /** What to write for that which somebody types; undefined when the line gets too long. */
  compose(bytes: Uint8Array): Uint8Array | undefined
  /** What to write for a text that is typed for the person who started the session. */
  composeText(text: string): Uint8Array
  /** The program has ended: what is left of its output; resolves when the state is as it stays. */
  finish(): Promise<AgentLine[]>
}

type Deps = {
  readonly spec: SessionSpec
  /** Of the person whose account the agent uses. */
  readonly home: string | undefined
  readonly onChange: (state: AgentState) => void
}

export function createAgentWatch({ spec, home, onChange }: Deps): AgentWatch {
  const { output, takes, typed, hasTranscript } = spec.program
  const records = output === null ? undefined : createRecordStream(output)
  const composer = takes === 'messages' ? createMessageComposer() : undefined
  const transcript = hasTranscript && home !== undefined ? createClaudeTranscript(home, spec.id) : undefined
  let state: AgentState = { usage: null, waiting: composer !== undefined && typed === null }
  let lookSoon: NodeJS.Timeout | undefined

  const become = (change: Partial<AgentState>): void => {
    const next = { ...state, ...change }
    const isNews = next.waiting !== state.waiting || JSON.stringify(next.usage) !== JSON.stringify(state.usage)
    state = next
    if (isNews) onChange(state)
  }
  const look = async (): Promise<void> => {
    lookSoon = undefined
    if (transcript) become({ usage: await transcript.check() })
  }
  const told = (lines: AgentLine[]): AgentLine[] => {
    const reading = records?.reading()
    // Only who takes messages can wait for one.
    if (reading && lines.length > 0)
      become({ usage: reading.usage, waiting: composer !== undefined && reading.hasAnswered })
    return lines
  }
  return {
    get state() {
      return state
    },
    output(bytes) {
      if (transcript) lookSoon ??= setTimeout(() => void look(), TRANSCRIPT_MS)
      return records && told(records.take(bytes))
    },
    compose(bytes) {
      if (!composer) return bytes
      const messages = composer.take(bytes)
      if (messages && messages.length > 0) become({ waiting: false })
      return messages && Buffer.concat(messages)
    },
    composeText: (text) => (composer ? userMessage(text) : new TextEncoder().encode(text)),
    async finish() {
      clearTimeout(lookSoon)
      await Promise.race([look(), delay(LAST_LOOK_MS)])
      const lines = told(records?.rest() ?? [])
      become({ waiting: false })
      return lines
    },
  }
}
