import { expect, it } from 'vitest'
import type { McpChange, McpProgram } from '../../../crdt/mcp.ts'
import { changedProgram, programProblem, shownUrl } from '../../../node/services/mcp/program-policy.ts'

const stdio = (more: Partial<McpProgram & { transport: 'stdio' }> = {}): McpProgram => ({
  transport: 'stdio',
  command: 'node',
  args: [],
  env: {},
  cwd: null,
  ...more,
})
const problemsOf = (before: McpProgram | undefined, change: McpChange): string[] => {
  const made = changedProgram(before, change)
  return made.ok ? [] : Object.keys(made.error.details?.fields ?? {})
}

it.each([
  'LD_PRELOAD',
  'LD_LIBRARY_PATH',
  'DYLD_INSERT_LIBRARIES',
  'NODE_OPTIONS',
  'node_options',
  'NODE_PATH',
  'BASH_ENV',
  'ENV',
  'GIT_SSH_COMMAND',
  'npm_config_node_options',
  'NPM_CONFIG_SCRIPT_SHELL',
  'PYTHONSTARTUP',
  'PYTHONPATH',
  'PERL5OPT',
  'RUBYOPT',
  'JAVA_TOOL_OPTIONS',
  '_JAVA_OPTIONS',
  'GLIBC_TUNABLES',
  'SSLKEYLOGFILE',
  'ROOKERY_DATA_DIR',
])('[A-X1] refuses the variable %s', (name) => {
  expect(programProblem(stdio({ env: { [name]: 'x' } }))?.details?.fields).toHaveProperty(`env.${name}`)
})

it('takes the variables that servers need', () => {
  expect(
    programProblem(stdio({ env: { API_KEY: 'x', PATH: '/bin', HTTP_PROXY: 'x', NODE_ENV: 'production' } })),
  ).toBeUndefined()
})

it.each(['node; id', 'a b', '$(id)', '`id`', './x', '../x', 'a/b', 'a|b', ''])(
  '[A-X1] refuses the command %j',
  (command) => {
    expect(programProblem(stdio({ command }))?.details?.fields).toHaveProperty('command')
  },
)

it.each(['file:///etc/passwd', 'ftp://x', 'no url', 'https://user:secret@x/', 'https://user@x/'])(
  'refuses the url %s',
  (url) => {
    expect(programProblem({ transport: 'http', url, headers: {} })?.details?.fields).toHaveProperty('url')
  },
)

it('is told either a command or a url, with what belongs to it', () => {
  expect(problemsOf(undefined, {})).toEqual(['command'])
  expect(problemsOf(undefined, { command: 'a', url: 'https://x' })).toEqual(['url'])
  expect(problemsOf(undefined, { url: 'https://x', args: [], env: {} })).toEqual(['args', 'env'])
  expect(problemsOf(undefined, { command: 'a', headers: {} })).toEqual(['headers'])
  expect(problemsOf(undefined, { url: 'https://x', headers: { Host: 'y' } })).toEqual(['headers.Host'])
})

it('keeps secrets that come back as they were shown, and only those there are', () => {
  const before = stdio({ env: { KEY: 'secret', OLD: 'x' } })
  expect(changedProgram(before, { env: { KEY: '***', NEW: 'y' } })).toEqual({
    ok: true,
    value: stdio({ env: { KEY: 'secret', NEW: 'y' } }),
  })
  expect(problemsOf(before, { env: { NEW: '***' } })).toEqual(['env.NEW'])
  const web: McpProgram = { transport: 'http', url: 'https://x/mcp?key=secret', headers: {} }
  expect(changedProgram(web, { url: shownUrl(web.url) })).toEqual({ ok: true, value: web })
})
