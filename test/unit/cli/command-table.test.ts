import { expect, it } from 'vitest'
import { commandsFor, LOADERS } from '../../../node/cli/command-table.ts'

it('loads every command by its name alone, and all of them for any other word', async () => {
  const all = (await commandsFor('--help')).map((command) => command.name())
  expect(Object.keys(LOADERS)).toEqual(all)
  for (const name of all) expect((await commandsFor(name)).map((command) => command.name())).toContain(name)
  expect((await commandsFor('constructor')).map((command) => command.name())).toEqual(all)
})
