import { execFileSync } from 'node:child_process'
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { hostname, tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { createMachineProbe } from '../../../node/adapters/machine-probe.ts'

let scratch: string
beforeEach(() => (scratch = realpathSync(mkdtempSync(join(tmpdir(), 'probe-')))))
afterEach(() => rmSync(scratch, { recursive: true, force: true }))

const PATH = '/usr/local/bin:/usr/bin:/bin'
const git = (folder: string, ...argv: string[]): string =>
  execFileSync('git', ['-C', folder, '-c', 'user.name=a', '-c', 'user.email=a@b', ...argv], {
    encoding: 'utf8',
    env: { PATH, HOME: scratch, GIT_CONFIG_GLOBAL: '/dev/null', GIT_CONFIG_NOSYSTEM: '1' },
    stdio: ['ignore', 'pipe', 'pipe'],
  }).trim()

function makeRepository(name = 'repo'): { folder: string; root: string } {
  const folder = join(scratch, name)
  mkdirSync(folder)
  git(folder, 'init', '-q')
  writeFileSync(join(folder, 'a.txt'), 'a')
  git(folder, 'add', '.')
  git(folder, 'commit', '-qm', 'first')
  const root = git(folder, 'rev-parse', 'HEAD')
  writeFileSync(join(folder, 'b.txt'), 'b')
  git(folder, 'add', '.')
  git(folder, 'commit', '-qm', 'second')
  return { folder, root }
}

function makeProgram(name: string, script: string): string {
  const path = join(scratch, 'bin', name)
  mkdirSync(join(scratch, 'bin'), { recursive: true })
  writeFileSync(path, `#!/bin/sh\n${script}\n`)
  chmodSync(path, 0o755)
  return path
}

const probe = createMachineProbe({ PATH, HOME: '/root' })

test('states what this host is and which agent CLIs it has', async () => {
  const claude = makeProgram('claude', 'echo "2.1.330 (Claude Code)"')
  const gemini = makeProgram('gemini', 'exit 1')
  mkdirSync(join(scratch, 'bin', 'codex'))
  const found = createMachineProbe({ PATH: `relative:${scratch}/bin:/nowhere`, HOME: scratch })
  expect(await found.facts()).toEqual({
    hostname: hostname(),
    platform: process.platform,
    arch: process.arch,
    nodeVersion: process.versions.node,
    claudePath: claude,
    claudeVersion: '2.1.330',
    agents: { claude, gemini },
  })
})

test('has no version of a claude that fails or prints none', async () => {
  makeProgram('claude', 'exit 3')
  expect((await createMachineProbe({ PATH: join(scratch, 'bin') }).facts()).claudeVersion).toBeNull()
})

test('asks claude for its version without the secrets of its environment', async () => {
  makeProgram('claude', '[ -z "$SECRET" ] && echo 1.2.3')
  expect((await createMachineProbe({ PATH: join(scratch, 'bin'), SECRET: 'x' }).facts()).claudeVersion).toBe('1.2.3')
})

test('knows the login shell and falls back to /bin/sh', () => {
  const shell = makeProgram('mysh', 'true')
  expect(createMachineProbe({ SHELL: shell, HOME: '/home/x' }).account()).toEqual({ shell, home: '/home/x' })
  expect(createMachineProbe({ SHELL: join(scratch, 'gone'), HOME: '/home/x' }).account().shell).not.toContain('gone')
})

test('tells a repository by its first commit and its remote, without credentials', async () => {
  const { folder, root } = makeRepository()
  const inspected = { exists: true, isDirectory: true, realPath: folder, foldsCase: false }
  expect(await probe.inspectFolder(folder)).toEqual({ ...inspected, repository: { rootCommit: root, remote: null } })
  git(folder, 'remote', 'add', 'origin', 'https://me:s3cret@example.org/a/b.git')
  const remote = 'https://example.org/a/b.git'
  expect(await probe.inspectFolder(folder)).toEqual({ ...inspected, repository: { rootCommit: root, remote } })
  symlinkSync(folder, join(scratch, 'link'))
  expect(await probe.inspectFolder(join(scratch, 'link'))).toEqual(await probe.inspectFolder(folder))
})

test('sees no repository in a folder inside one, in an empty one, nor in a shallow clone', async () => {
  const { folder } = makeRepository()
  mkdirSync(join(folder, 'inner'))
  git(scratch, 'init', '-q', 'empty')
  git(scratch, 'clone', '-q', '--depth', '1', `file://${folder}`, 'shallow')
  const found = await Promise.all(
    [join(folder, 'inner'), join(scratch, 'empty'), join(scratch, 'shallow')].map((path) => probe.inspectFolder(path)),
  )
  expect(found.map(({ isDirectory, repository }) => [isDirectory, repository])).toEqual([
    [true, null],
    [true, null],
    [true, null],
  ])
})

test('tells what is missing and what is no directory', async () => {
  writeFileSync(join(scratch, 'file'), '')
  const missing = { exists: false, isDirectory: false, realPath: null, repository: null, foldsCase: false }
  expect(await probe.inspectFolder(join(scratch, 'nowhere'))).toEqual(missing)
  expect(await probe.inspectFolder(join(scratch, 'file', 'below'))).toEqual(missing)
  expect(await probe.inspectFolder(`${scratch}\0`)).toEqual(missing)
  expect(await probe.inspectFolder(join(scratch, 'file'))).toEqual({
    exists: true,
    isDirectory: false,
    realPath: join(scratch, 'file'),
    repository: null,
    foldsCase: false,
  })
})

test('[A-R1] inspecting a hostile repository executes nothing of it', async () => {
  const { folder, root } = makeRepository()
  const evidence = join(scratch, 'evidence')
  const evil = makeProgram('evil', `echo "$0 $*" >> ${evidence}; exit 0`)
  for (const hook of [
    'post-checkout',
    'pre-auto-gc',
    'reference-transaction',
    'post-index-change',
    'fsmonitor-watchman',
  ]) {
    writeFileSync(join(folder, '.git/hooks', hook), `#!/bin/sh\n${evil} ${hook}\n`)
    chmodSync(join(folder, '.git/hooks', hook), 0o755)
  }
  const settings = {
    'core.fsmonitor': evil,
    'core.hooksPath': join(folder, '.git/hooks'),
    'core.pager': evil,
    'pager.config': evil,
    'pager.rev-list': 'true',
    'core.sshCommand': evil,
    'core.askPass': evil,
    'core.gitProxy': evil,
    'core.alternateRefsCommand': evil,
    'credential.helper': `!${evil}`,
    'gpg.program': evil,
    'log.showSignature': 'true',
    'alias.rev-list': `!${evil}`,
    'alias.config': `!${evil}`,
    'diff.external': evil,
    'remote.origin.url': 'ssh://host/x',
  }
  for (const [name, value] of Object.entries(settings)) git(folder, 'config', name, value)
  expect((await probe.inspectFolder(folder)).repository).toEqual({ rootCommit: root, remote: 'ssh://host/x' })
  expect(existsSync(evidence)).toBe(false)
})

test.each([
  ['a local path', (evil: string) => ({ url: '/tmp', uploadpack: evil })],
  ['ssh', (evil: string) => ({ url: 'ssh://host/x', ssh: evil })],
  ['an external helper', (evil: string) => ({ url: `ext::${evil}` })],
])('[A-R1] objects that a hostile partial clone lacks are not fetched by %s', async (_, settingsOf) => {
  const { folder, root } = makeRepository()
  const evidence = join(scratch, 'evidence')
  const evil = makeProgram('evil', `echo "$0 $*" >> ${evidence}; exit 0`)
  const settings: { url: string; uploadpack?: string; ssh?: string } = settingsOf(evil)
  git(folder, 'config', 'core.repositoryFormatVersion', '1')
  git(folder, 'config', 'extensions.partialClone', 'origin')
  git(folder, 'config', 'remote.origin.promisor', 'true')
  git(folder, 'config', 'remote.origin.url', settings.url)
  git(folder, 'config', 'protocol.ext.allow', 'always')
  if (settings.uploadpack) git(folder, 'config', 'remote.origin.uploadpack', settings.uploadpack)
  if (settings.ssh) git(folder, 'config', 'core.sshCommand', settings.ssh)
  rmSync(join(folder, '.git/objects', root.slice(0, 2)), { recursive: true })
  expect((await probe.inspectFolder(folder)).repository).toBeNull()
  expect(existsSync(evidence)).toBe(false)
  // The trap itself works: without the precautions the program runs.
  expect(() => git(folder, '-c', 'protocol.allow=always', 'rev-list', '--max-parents=0', 'HEAD')).toThrow(
    'Command failed',
  )
  expect(existsSync(evidence)).toBe(true)
})
