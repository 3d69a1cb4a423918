import { conformanceSuite } from './suite.ts'

conformanceSuite('its own gateway')
