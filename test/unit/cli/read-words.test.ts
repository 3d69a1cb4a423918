import { resolve } from 'node:path'
import { expect, it } from 'vitest'
import { inTerminal } from '../../support/terminal.ts'

const MODULE = resolve(import.meta.dirname, '../../../node/cli/read-words.ts')
const CTRL_C = '\u0003'
const ERASE = '\u007f'

/** What comes of a new passphrase at a terminal, where this is typed at each of the two questions. */
async function typed(first: string, second: string): Promise<{ said: string | undefined; shown: string }> {
  const program = `
    import { readPassphrase } from ${JSON.stringify(MODULE)}
    const said = await readPassphrase({ isNew: true }).then((text) => text.length, (error) => error.message)
    console.log('said: ' + said)`
  const terminal = inTerminal(process.execPath, ['--input-type=module', '-e', program])
  await terminal.until('(not shown): ')
  terminal.type(first)
  if (!first.includes(CTRL_C)) {
    await terminal.until('The same again: ')
    terminal.type(second)
  }
  const { shown } = await terminal.ended
  return { said: /said: (.*)\r/.exec(shown)?.[1], shown }
}

it('asks a person twice for a new passphrase, and shows neither', async () => {
  const { said, shown } = await typed(`korrect${ERASE}t horse\r`, 'korrect horse\r')
  expect(said).toBe(String('korrect horse'.length))
  expect(shown).not.toContain('horse')
})

it.each([
  ['correct horse\r', 'correct house\r', 'not the same'],
  ['correct horse\r', CTRL_C, 'Cancelled'],
  [CTRL_C, '', 'Cancelled'],
])('takes none for %j and %j', async (first, second, message) => {
  expect((await typed(first, second)).said).toContain(message)
})
