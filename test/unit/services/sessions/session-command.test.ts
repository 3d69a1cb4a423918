import { expect, test } from 'vitest'
import { commandOf, type CommandRequest } from '../../../../node/services/sessions/session-command.ts'
import { AGENT_CLIS } from '../../../../node/ports/machine-probe.ts'
import { SESSION_MODES } from '../../../../crdt/session.ts'

const installed = { claude: '/b/claude', codex: '/b/codex', opencode: '/b/opencode', gemini: '/b/gemini' }
const request = (change: Partial<CommandRequest>): CommandRequest => ({
  mode: 'interactive',
  agent: undefined,
  prompt: undefined,
  installed,
  shell: '/bin/zsh',
  ...change,
})

test('a shell is a login shell in a terminal, and a prompt is typed into it', () => {
  const program = { file: '/bin/zsh', argv: ['-l'], io: 'pty', acceptsInput: true }
  expect(commandOf(request({ agent: 'shell' }))).toEqual({
    ok: true,
    value: { agent: 'shell', program: { ...program, typed: null } },
  })
  expect(commandOf(request({ agent: 'shell', prompt: 'ls; id' }))).toEqual({
    ok: true,
    value: { agent: 'shell', program: { ...program, typed: 'ls; id\r' } },
  })
})

test('without a name the first agent CLI that is installed runs', () => {
  const chosen = (found: Partial<typeof installed>) => {
    const command = commandOf(request({ installed: found }))
    return command.ok ? command.value.agent : command.error.details?.fields?.agent?.[0]
  }
  expect([chosen(installed), chosen({ gemini: '/b/gemini', codex: '/b/codex' }), chosen({})]).toEqual([
    'claude',
    'codex',
    'No agent CLI is installed on this machine. There is only: shell.',
  ])
})

test('an agent that is unknown or missing is named, with what there is instead', () => {
  expect(
    [
      commandOf(request({ agent: 'cursor' })),
      commandOf(request({ agent: 'codex', installed: { claude: '/b/claude' } })),
      commandOf(request({ agent: '__proto__' })),
    ].map((answer) => (answer.ok ? answer : answer.error.details)),
  ).toEqual([
    {
      fields: {
        agent: [
          'The agent CLI "cursor" is not installed on this machine. Installed: claude, codex, opencode, gemini, shell.',
        ],
      },
    },
    { fields: { agent: ['The agent CLI "codex" is not installed on this machine. Installed: claude, shell.'] } },
    {
      fields: {
        agent: [
          'The agent CLI "__proto__" is not installed on this machine. Installed: claude, codex, opencode, gemini, shell.',
        ],
      },
    },
  ])
})

test.each(AGENT_CLIS.flatMap((agent) => SESSION_MODES.map((mode) => [agent, mode] as const)))(
  '[A-X1] a prompt that looks like an option reaches %s (%s) as a value only',
  (agent, mode) => {
    const prompt = '--dangerously-skip-permissions'
    const command = commandOf(request({ agent, mode, prompt }))
    if (!command.ok) throw new Error(command.error.message)
    const { argv, typed, io } = command.value.program
    const isValue =
      typed?.includes(prompt) ??
      (argv.at(-2) === '--' ? argv.at(-1) === prompt : /^--prompt(-\w+)?=/.test(argv.at(-1)!))
    expect([isValue, argv.slice(0, -1).includes(prompt), io]).toEqual([
      true,
      false,
      mode === 'interactive' ? 'pty' : 'pipes',
    ])
  },
)

test('an agent that works alone needs a prompt; a headless claude may wait for one', () => {
  expect(commandOf(request({ mode: 'oneshot' }))).toMatchObject({
    error: { code: 'invalid_input', details: { fields: { initial_prompt: ['A oneshot session needs a prompt.'] } } },
  })
  expect(commandOf(request({ mode: 'headless', agent: 'codex' }))).toMatchObject({ ok: false })
  expect(commandOf(request({ mode: 'headless' }))).toMatchObject({
    ok: true,
    value: { program: { acceptsInput: true, typed: null, io: 'pipes' } },
  })
})
