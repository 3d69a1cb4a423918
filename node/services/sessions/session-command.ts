import { invalidField } from '../../../crdt/errors.ts'
import { err, ok, type Result } from '../../../crdt/result.ts'
import type { SessionMode } from '../../../crdt/session.ts'
import { AGENT_CLIS, type AgentCli } from '../../ports/machine-probe.ts'
import type { SessionProgram } from '../../ports/session-host.ts'

export type CommandRequest = {
  readonly mode: SessionMode
  /** Undefined: the first agent CLI that is installed. */
  readonly agent: string | undefined
  readonly prompt: string | undefined
  readonly installed: Readonly<Partial<Record<AgentCli, string>>>
  readonly shell: string
}

/**
 * Which program a session runs. A prompt is one argument (after `--`, or glued to its option, so that it can never be
 * taken for an option) or typed text; no shell ever interprets it but one in a terminal that the caller may type into.
 * @errors invalid_input (also when the agent is unknown or not installed here)
 */
export function commandOf(request: CommandRequest): Result<{ agent: string; program: SessionProgram }> {
  if (request.agent === 'shell') return shellCommand(request)
  const agent = AGENT_CLIS.find((cli) =>
    request.agent === undefined ? request.installed[cli] !== undefined : cli === request.agent,
  )
  const file = agent && request.installed[agent]
  if (!agent || !file) return err(notInstalled(request))
  const { mode, prompt } = request
  if (mode === 'interactive')
    return ok({
      agent,
      program: { file, argv: INTERACTIVE[agent](prompt), io: 'pty', acceptsInput: true, typed: null },
    })
  if (mode === 'headless' && agent === 'claude') return ok({ agent, program: claudeHeadless(file, prompt) })
  if (prompt === undefined) return err(invalidField('initial_prompt', `A ${mode} session needs a prompt.`))
  const argv = mode === 'oneshot' || agent === 'claude' ? ONESHOT[agent](prompt) : HEADLESS[agent](prompt)
  return ok({ agent, program: { file, argv, io: 'pipes', acceptsInput: false, typed: null } })
}

type Argv = readonly string[]

const INTERACTIVE: Readonly<Record<AgentCli, (prompt: string | undefined) => Argv>> = {
  claude: (prompt) => (prompt === undefined ? [] : ['--', prompt]),
  codex: (prompt) => (prompt === undefined ? ['--no-daemon'] : ['--no-daemon', '--', prompt]),
  opencode: (prompt) => (prompt === undefined ? [] : [`--prompt=${prompt}`]),
  gemini: (prompt) => (prompt === undefined ? [] : [`--prompt-interactive=${prompt}`]),
}

/** Text out, one turn. */
const ONESHOT: Readonly<Record<AgentCli, (prompt: string) => Argv>> = {
  claude: (prompt) => ['-p', '--output-format', 'text', '--', prompt],
  codex: (prompt) => ['exec', '--skip-git-repo-check', '--', prompt],
  opencode: (prompt) => ['run', '--', prompt],
  gemini: (prompt) => [`--prompt=${prompt}`],
}

/** JSON out, one turn. `claude` is not here: it takes further turns (see below). */
const HEADLESS: Readonly<Record<Exclude<AgentCli, 'claude'>, (prompt: string) => Argv>> = {
  codex: (prompt) => ['exec', '--json', '--skip-git-repo-check', '--', prompt],
  opencode: (prompt) => ['run', '--format', 'json', '--', prompt],
  gemini: (prompt) => ['--output-format', 'json', `--prompt=${prompt}`],
}

/** Stays and takes one JSON message per line; the prompt is the first of them. */
function claudeHeadless(file: string, prompt: string | undefined): SessionProgram {
  const message = { type: 'user', message: { role: 'user', content: [{ type: 'text', text: prompt }] } }
  return {
    file,
    argv: ['-p', '--input-format', 'stream-json', '--output-format', 'stream-json', '--verbose'],
    io: 'pipes',
    acceptsInput: true,
    typed: prompt === undefined ? null : `${JSON.stringify(message)}\n`,
  }
}

function shellCommand({ mode, prompt, shell }: CommandRequest): Result<{ agent: string; program: SessionProgram }> {
  if (mode !== 'interactive')
    return err(invalidField('mode', 'A shell is interactive. Name an agent CLI for a headless or oneshot session.'))
  const typed = prompt === undefined ? null : `${prompt}\r`
  return ok({ agent: 'shell', program: { file: shell, argv: ['-l'], io: 'pty', acceptsInput: true, typed } })
}

function notInstalled({ agent, installed }: CommandRequest) {
  const found = AGENT_CLIS.filter((cli) => installed[cli] !== undefined)
  const asked = agent === undefined ? 'No agent CLI is installed' : `The agent CLI "${agent}" is not installed`
  const instead = found.length > 0 ? `Installed: ${found.join(', ')}, shell.` : 'There is only: shell.'
  return invalidField('agent', `${asked} on this machine. ${instead}`)
}
