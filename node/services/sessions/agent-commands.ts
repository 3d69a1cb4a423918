import { z } from 'zod'
import { AGENT_CLIS, type AgentCli } from '../../ports/machine-probe.ts'
import { RECORD_FORMATS } from '../../ports/session-host.ts'

const Arguments = z.array(z.string().max(4096)).max(32)

/**
 * How an agent CLI is run, per mode. In its arguments `{session}` stands for the session's id and `{prompt}` for the
 * prompt; an argument with `{prompt}` is left out when there is none, with a `--` before it. A headless or oneshot prompt
 * that no argument mentions is written to standard input, which then ends.
 */
export const AgentCommand = z.strictObject({
  file: z
    .string()
    .startsWith('/', 'must be an absolute path')
    .max(4096)
    .optional()
    .describe('Default: as on the PATH.'),
  interactive: Arguments.optional(),
  headless: Arguments.optional(),
  oneshot: Arguments.optional(),
  records: z.enum(RECORD_FORMATS).optional().describe('Whose JSON lines it prints; default: those of its own name.'),
})
export type AgentCommand = z.infer<typeof AgentCommand>

/** What an operator has set, by the agent's name; each part replaces the default. */
export type AgentCommands = Readonly<Record<string, AgentCommand>>

type Modes = Required<Pick<AgentCommand, 'interactive' | 'headless' | 'oneshot' | 'records'>>

const CODEX = ['exec', '--json', '--skip-git-repo-check', '-']
const OPENCODE = ['run', '--format', 'json']
const GEMINI = ['--output-format', 'stream-json']

/** As of Claude Code 2.1, Codex 0.171, opencode 1.18 and Gemini CLI 0.61. */
const DEFAULTS: Readonly<Record<AgentCli, Modes>> = {
  claude: {
    interactive: ['--session-id', '{session}', '--', '{prompt}'],
    // Stays, and takes further messages.
    headless: ['-p', '--input-format', 'stream-json', '--output-format', 'stream-json', '--verbose'],
    oneshot: ['-p', '--output-format', 'stream-json', '--verbose'],
    records: 'claude',
  },
  codex: { interactive: ['--no-daemon', '--', '{prompt}'], headless: CODEX, oneshot: CODEX, records: 'codex' },
  opencode: { interactive: ['--prompt={prompt}'], headless: OPENCODE, oneshot: OPENCODE, records: 'opencode' },
  gemini: { interactive: ['--prompt-interactive={prompt}'], headless: GEMINI, oneshot: GEMINI, records: 'gemini' },
}

const isKnown = (name: string): name is AgentCli => AGENT_CLIS.some((cli) => cli === name)

/** What there is to run under a name, or undefined. */
export function agentCommand(name: string, configured: AgentCommands): AgentCommand | undefined {
  const set = Object.hasOwn(configured, name) ? configured[name] : undefined
  if (!isKnown(name)) return set
  return { ...DEFAULTS[name], ...set }
}

/** Names in order of preference: those that are configured only come last. */
export const agentNames = (configured: AgentCommands): readonly string[] => [
  ...new Set([...AGENT_CLIS, ...Object.keys(configured)]),
]
