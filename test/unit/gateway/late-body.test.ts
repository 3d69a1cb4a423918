import type { IncomingMessage } from 'node:http'
import { PassThrough } from 'node:stream'
import { setImmediate as othersTurn } from 'node:timers/promises'
import { expect, it } from 'vitest'
import { readToEnd } from '../../../gateway/http/late-body.ts'
import { createManualClock } from '../../support/clock.ts'

it('reads a body for as long as it comes, and gives up on one of which nothing comes', async () => {
  const clock = createManualClock()
  const request = new PassThrough()
  let isOver = false
  const reading = readToEnd(request as unknown as IncomingMessage, clock).then(() => (isOver = true))
  for (let n = 0; n < 5; n++) {
    request.write('some of it')
    await othersTurn()
    await clock.advance(1500)
    expect(isOver).toBe(false)
  }
  await clock.advance(1000)
  await reading
})
