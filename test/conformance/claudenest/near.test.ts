import { describe } from 'vitest'
import { IS_LONG } from '../../support/long.ts'
import { conformanceSuite } from './suite.ts'

// What the other suite asks from further away; six minutes of a slow machine.
describe.runIf(IS_LONG)('asked on the spot', () => {
  conformanceSuite('its own gateway')
})
