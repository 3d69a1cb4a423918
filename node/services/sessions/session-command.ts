import { invalidField } from '../../../crdt/errors.ts'
import type { SessionId } from '../../../crdt/ids.ts'
import { err, ok, type Result } from '../../../crdt/result.ts'
import type { SessionMode } from '../../../crdt/session.ts'
import type { SessionProgram } from '../../ports/session-host.ts'
import { agentCommand, agentNames, type AgentCommand, type AgentCommands } from './agent-commands.ts'

export type CommandRequest = {
  readonly id: SessionId
  readonly mode: SessionMode
  /** Undefined: the first agent CLI that is installed. */
  readonly agent: string | undefined
  readonly prompt: string | undefined
  /** Absolute paths by name. */
  readonly installed: Readonly<Record<string, string>>
  readonly configured: AgentCommands
  readonly shell: string
}

type Command = { readonly agent: string; readonly program: SessionProgram }

/**
 * Which program a session runs. A prompt is standard input where the agent reads one, else one argument (after `--`, or
 * glued to its option, so that it can never be taken for an option), or typed text; no shell ever interprets it but one in
 * a terminal that the caller may type into.
 * @errors invalid_input (also when the agent is unknown, not installed here, or has no such mode)
 */
export function commandOf(request: CommandRequest): Result<Command> {
  if (request.agent === 'shell') return shellCommand(request)
  const { mode, installed, configured } = request
  const agent = agentNames(configured).find((name) =>
    request.agent === undefined ? Object.hasOwn(installed, name) : name === request.agent,
  )
  const file = agent !== undefined && Object.hasOwn(installed, agent) ? installed[agent] : undefined
  const command = agent === undefined ? undefined : agentCommand(agent, configured)
  if (agent === undefined || file === undefined || !command) return err(notInstalled(request))
  const template = command[mode]
  if (!template)
    return err(invalidField('mode', `${agent} has no ${mode} mode here: set sessions.agents.${agent}.${mode}.`))
  const run = { file, template, records: command.records ?? null }
  return mode === 'interactive' ? ok({ agent, program: inTerminal(run, request) }) : alone(agent, run, request)
}

type Run = {
  readonly file: string
  readonly template: readonly string[]
  readonly records: AgentCommand['records'] | null
}

function inTerminal({ file, template, records }: Run, request: CommandRequest): SessionProgram {
  const hasTranscript = records === 'claude' && template.some((argument) => argument.includes('{session}'))
  return {
    file,
    argv: argumentsOf(template, request),
    io: 'pty',
    acceptsInput: true,
    typed: null,
    takes: 'bytes',
    output: null,
    hasTranscript,
  }
}

function alone(agent: string, { file, template, records }: Run, request: CommandRequest): Result<Command> {
  const takesMessages = records === 'claude' && STREAM_INPUT.test(template.join(' '))
  if (request.prompt === undefined && !takesMessages)
    return err(invalidField('initial_prompt', `A ${request.mode} session of ${agent} needs a prompt.`))
  const isArgument = template.some((argument) => argument.includes('{prompt}'))
  const program: SessionProgram = {
    file,
    argv: argumentsOf(template, request),
    io: 'pipes',
    acceptsInput: takesMessages,
    typed: isArgument ? null : (request.prompt ?? null),
    takes: takesMessages ? 'messages' : 'bytes',
    output: records ?? null,
    hasTranscript: false,
  }
  return ok({ agent, program })
}

/** Claude Code then stays and reads one message a line. */
const STREAM_INPUT = /--input-format[ =]stream-json\b/

function argumentsOf(template: readonly string[], { id, prompt }: CommandRequest): string[] {
  return template.flatMap((argument, at) => {
    const isForPrompt = argument.includes('{prompt}') || (argument === '--' && template[at + 1]?.includes('{prompt}'))
    if (isForPrompt && prompt === undefined) return []
    // The prompt last, and as it is: what it contains stands for nothing.
    return [argument.replaceAll('{session}', id).replaceAll('{prompt}', () => prompt ?? '')]
  })
}

function shellCommand({ mode, prompt, shell }: CommandRequest): Result<Command> {
  if (mode !== 'interactive')
    return err(invalidField('mode', 'A shell is interactive. Name an agent CLI for a headless or oneshot session.'))
  const typed = prompt === undefined ? null : `${prompt}\r`
  const bare = { takes: 'bytes', output: null, hasTranscript: false } as const
  return ok({ agent: 'shell', program: { file: shell, argv: ['-l'], io: 'pty', acceptsInput: true, typed, ...bare } })
}

function notInstalled({ agent, installed, configured }: CommandRequest) {
  const found = agentNames(configured).filter((name) => Object.hasOwn(installed, name))
  const asked = agent === undefined ? 'No agent CLI is installed' : `The agent CLI "${agent}" is not installed`
  const instead = found.length > 0 ? `Installed: ${found.join(', ')}, shell.` : 'There is only: shell.'
  return invalidField('agent', `${asked} on this machine. ${instead}`)
}
