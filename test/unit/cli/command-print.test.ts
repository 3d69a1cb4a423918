import { afterEach, expect, it, vi } from 'vitest'
import { print } from '../../../node/cli/command.ts'

afterEach(() => vi.restoreAllMocks())

it('prints what others have written without what would control the terminal, and JSON as it is', () => {
  const written: string[] = []
  vi.spyOn(process.stdout, 'write').mockImplementation((text) => written.push(String(text)) > 0)
  const name = 'desk\u001b]52;c;cm0gLXJmIH4=\u0007\u009b2J'
  print({ dataDir: '' }, name, () => [`${name} is online`, 'a\tb\nc ü 🐦'])
  print({ dataDir: '', json: true }, name, () => [])
  expect(written).toEqual([
    'desk\uFFFD]52;c;cm0gLXJmIH4=\uFFFD\uFFFD2J is online\n',
    'a\tb\nc ü 🐦\n',
    `${JSON.stringify(name)}\n`,
  ])
})
