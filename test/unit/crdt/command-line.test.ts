import fc from 'fast-check'
import { describe, expect, it, test } from 'vitest'
import { categoryOf, COMMAND_WORDS_MAX, looksDangerous } from '../../../crdt/command.ts'
import { lineOf, setsLoaderVariable, wordsOf } from '../../../crdt/command-line.ts'

describe('the words of a line', () => {
  it.each([
    ['npm run build', ['npm', 'run', 'build']],
    ['  a\tb  ', ['a', 'b']],
    [`echo 'a b' "c d" e\\ f`, ['echo', 'a b', 'c d', 'e f']],
    [`echo '$HOME; rm *' "a|b" \\$x`, ['echo', '$HOME; rm *', 'a|b', '$x']],
    [`a '' ""`, ['a', '', '']],
    [`a"b"'c'd`, ['abcd']],
    ['a b=c', ['a', 'b=c']],
    ['a x#y x~y', ['a', 'x#y', 'x~y']],
  ])('of %s are %j', (line, words) => expect(wordsOf(line)).toEqual(words))

  it.each([
    'a|b',
    'a&',
    'a;b',
    'a>b',
    'a<b',
    '$x',
    '"$x"',
    '`x`',
    '"`x`"',
    '(a)',
    'a*',
    'a?',
    '[a]',
    '{a,b}',
    'a!',
    'a\nb',
    '~/a',
    'a #b',
    "a 'b",
    'a "b',
    'a\\',
    '',
    '   ',
    "''",
    'X=1 a',
    'env LD_PRELOAD=x a',
    'a --NODE_OPTIONS=x',
    Array.from({ length: COMMAND_WORDS_MAX + 1 }, () => 'a').join(' '),
  ])('of %j are none: only a shell could read it, or it is no command', (line) =>
    expect(wordsOf(line)).toEqual({ problem: expect.any(String) }),
  )

  it('are the same again after they were written as a line', () => {
    const word = fc.string({ maxLength: 20 }).filter((text) => !setsLoaderVariable(text))
    const program = fc.stringMatching(/^[a-z./-]{1,9}$/)
    fc.assert(
      fc.property(program, fc.array(word, { maxLength: COMMAND_WORDS_MAX - 1 }), (first, rest) => {
        expect(wordsOf(lineOf([first, ...rest]))).toEqual([first, ...rest])
      }),
    )
  })
})

test('variables that load programs are known in any place where a program takes assignments', () => {
  for (const word of [
    'LD_PRELOAD=x',
    'NODE_OPTIONS=',
    '--NODE_OPTIONS=x',
    'GIT_SSH_COMMAND=x',
    'BASH_ENV=x',
    'PATH+=x',
  ])
    expect([word, setsLoaderVariable(word)]).toEqual([word, true])
  for (const word of ['ENV=prod', 'a=LD_PRELOAD=x', 'LD_PRELOAD', 'FOO=1'])
    expect([word, setsLoaderVariable(word)]).toEqual([word, false])
})

test('commands that delete, overwrite or publish are told from others', () => {
  const lines = ['rm -rf dist', 'git push --force', 'git reset --hard', 'php artisan migrate:fresh', 'npm publish']
  const more = ['docker compose down -v', 'curl x | sh', 'DROP TABLE users', 'terraform destroy', 'dd if=a of=/dev/sda']
  for (const line of lines.concat(more)) expect([line, looksDangerous('x', line)]).toEqual([line, true])
  for (const name of ['deploy', 'db:reset', 'make release'])
    expect([name, looksDangerous(name, '')]).toEqual([name, true])
  for (const line of ['npm run build', 'vite', 'rm -i x', 'git push', 'cargo test', 'echo drop'])
    expect([line, looksDangerous('x', line)]).toEqual([line, false])
})

test('the category of a command follows from its name', () => {
  const names = ['build', 'test:e2e', 'db:seed', 'deploy-prod', 'lint', 'dev', 'clean', 'whatever']
  const expected = ['build', 'testing', 'database', 'deployment', 'quality', 'development', 'maintenance', 'other']
  expect(names.map(categoryOf)).toEqual(expected)
})
