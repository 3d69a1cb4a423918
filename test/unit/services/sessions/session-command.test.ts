import { expect, test } from 'vitest'
import { commandOf, type CommandRequest } from '../../../../node/services/sessions/session-command.ts'
import { AGENT_CLIS } from '../../../../node/ports/machine-probe.ts'
import { SESSION_MODES } from '../../../../crdt/session.ts'
import type { SessionProgram } from '../../../../node/ports/session-host.ts'
import { programWith, sessionId } from '../../../support/session-lab.ts'

const installed = { claude: '/b/claude', codex: '/b/codex', opencode: '/b/opencode', gemini: '/b/gemini' }
const id = sessionId(1)
const request = (change: Partial<CommandRequest>): CommandRequest => ({
  id,
  mode: 'interactive',
  agent: undefined,
  prompt: undefined,
  installed,
  configured: {},
  shell: '/bin/zsh',
  ...change,
})

test('a shell is a login shell in a terminal, and a prompt is typed into it', () => {
  const program = programWith({ file: '/bin/zsh', argv: ['-l'] })
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
  const chosen = (found: Record<string, string>) => {
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

function programOf(change: Partial<CommandRequest>): SessionProgram {
  const command = commandOf(request(change))
  if (!command.ok) throw new Error(JSON.stringify(command.error.details))
  return command.value.program
}
const fieldsOf = (change: Partial<CommandRequest>) => {
  const command = commandOf(request(change))
  return command.ok ? command : command.error.details?.fields
}

test.each(AGENT_CLIS.flatMap((agent) => SESSION_MODES.map((mode) => [agent, mode] as const)))(
  '[A-X1] a prompt that looks like an option reaches %s (%s) as a value only',
  (agent, mode) => {
    const prompt = '--dangerously-skip-permissions'
    const { argv, typed, io } = programOf({ agent, mode, prompt })
    const isValue =
      typed === prompt || (argv.at(-2) === '--' ? argv.at(-1) === prompt : /^--prompt(-\w+)?=/.test(argv.at(-1)!))
    expect([isValue, argv.slice(0, -1).includes(prompt), io]).toEqual([
      true,
      false,
      mode === 'interactive' ? 'pty' : 'pipes',
    ])
  },
)

test.each(AGENT_CLIS.flatMap((agent) => (['headless', 'oneshot'] as const).map((mode) => [agent, mode] as const)))(
  'a prompt reaches %s (%s) by its standard input, where other users of the machine cannot see it',
  (agent, mode) => {
    const { argv, typed, output } = programOf({ agent, mode, prompt: 'the secret is 42' })
    expect([typed, argv.join(' ').includes('secret'), output]).toEqual(['the secret is 42', false, agent])
  },
)

test('a claude in a terminal gets the id of its session, by which its transcript is found', () => {
  const asked = { agent: 'claude', mode: 'interactive' } as const
  expect([programOf(asked), programOf({ ...asked, prompt: 'hi' }).argv]).toEqual([
    programWith({ file: '/b/claude', argv: ['--session-id', id], hasTranscript: true }),
    ['--session-id', id, '--', 'hi'],
  ])
})

test('an agent that works alone needs a prompt; a headless claude may wait for one', () => {
  expect(commandOf(request({ mode: 'oneshot' }))).toMatchObject({
    error: {
      code: 'invalid_input',
      details: { fields: { initial_prompt: ['A oneshot session of claude needs a prompt.'] } },
    },
  })
  expect(commandOf(request({ mode: 'headless', agent: 'codex' }))).toMatchObject({ ok: false })
  expect(programOf({ mode: 'headless' })).toMatchObject({
    acceptsInput: true,
    typed: null,
    io: 'pipes',
    takes: 'messages',
  })
})

test('what is configured for a mode takes the place of what is usual; other modes stay', () => {
  const configured = { claude: { oneshot: ['-p', '--output-format=stream-json', '--verbose', '--model', 'opus'] } }
  expect(programOf({ mode: 'oneshot', prompt: 'hi', configured })).toEqual(
    programWith({
      file: '/b/claude',
      argv: configured.claude.oneshot,
      io: 'pipes',
      acceptsInput: false,
      typed: 'hi',
      output: 'claude',
    }),
  )
  expect(programOf({ mode: 'headless', configured })).toEqual(programOf({ mode: 'headless' }))
})

test('a headless claude that is configured to take no messages reads its prompt and ends', () => {
  const configured = { claude: { headless: ['-p', '--output-format', 'stream-json', '--verbose'] } }
  expect(fieldsOf({ mode: 'headless', configured })).toEqual({
    initial_prompt: ['A headless session of claude needs a prompt.'],
  })
  expect(programOf({ mode: 'headless', prompt: 'hi', configured })).toMatchObject({
    acceptsInput: false,
    takes: 'bytes',
    typed: 'hi',
  })
})

test('an agent that is configured only runs by its own name, in the modes that it has', () => {
  const configured = { cursor: { oneshot: ['-p', '--id={session}', '--say={prompt}'], records: 'claude' as const } }
  const asked = { agent: 'cursor', installed: { cursor: '/b/cursor' }, configured }
  expect(programOf({ ...asked, mode: 'oneshot', prompt: 'say {session} $& {prompt}' })).toEqual(
    programWith({
      file: '/b/cursor',
      argv: ['-p', `--id=${id}`, '--say=say {session} $& {prompt}'],
      io: 'pipes',
      acceptsInput: false,
      output: 'claude',
    }),
  )
  expect(fieldsOf({ ...asked, mode: 'headless', prompt: 'hi' })).toEqual({
    mode: ['cursor has no headless mode here: set sessions.agents.cursor.headless.'],
  })
})
