import { existsSync } from 'node:fs'
import { expect, it } from 'vitest'
import { createPinoLog, logDestination } from '../../../node/adapters/pino-log.ts'

it.runIf(existsSync('/dev/full'))('goes on when a line cannot be written, since the disk is full', () => {
  const log = createPinoLog('info', logDestination('/dev/full'))
  for (let line = 0; line < 3; line++) expect(() => log.info({ line }, 'x')).not.toThrow()
})
