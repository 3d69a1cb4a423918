import { resolve } from 'node:path'
import { expect, it } from 'vitest'
import { inTerminal } from '../../support/terminal.ts'

const MODULE = resolve(import.meta.dirname, '../../../node/cli/ask-yes.ts')
const CTRL_C = '\u0003'
const CTRL_D = '\u0004'
const ERASE = '\u007f'

const TYPED = [
  ['yes\r', 'true'],
  ['  YES \r', 'true'],
  [`yas${ERASE}${ERASE}es\r`, 'true'],
  ['no\r', 'false'],
  ['N\r', 'false'],
  ['\rno\r', 'false'],
  ['y\ryess\ryes\r', 'true'],
  [CTRL_C, 'cancelled'],
  [CTRL_D, 'cancelled'],
  [`ye${CTRL_C}`, 'cancelled'],
] as const

it('takes only yes for yes and only no for no, whatever else is typed, and Ctrl-C and Ctrl-D for neither', async () => {
  const program = `
    import { askYes, isSomebodyHere } from ${JSON.stringify(MODULE)}
    console.log('somebody ' + isSomebodyHere())
    for (let n = 0; n < ${TYPED.length}; n++)
      console.log('said ' + n + ' ' + (await askYes('Is it ' + n + '?').catch((error) => error.code ?? error)))`
  const terminal = inTerminal(process.execPath, ['--input-type=module', '-e', program])
  for (const [n, [text]] of TYPED.entries()) {
    await terminal.until(`Is it ${n}? Type yes or no: `)
    terminal.type(text)
  }
  const { code, shown } = await terminal.ended
  const said = [...shown.matchAll(/said \d+ (\S+)/g)].map(([, answer]) => answer)
  expect([code, said]).toEqual([0, TYPED.map(([, answer]) => answer)])
  expect(shown).toContain('somebody true')
})
