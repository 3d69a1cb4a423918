import { expect, it } from 'vitest'
import { createHeldMails } from '../../../node/adapters/held-mail.ts'
import type { Mail } from '../../../node/ports/mailer.ts'
import { createManualClock } from '../../support/clock.ts'

const mail = (n: number): Mail => ({ to: 'ada@example.org', subject: `${n}`, text: 'https://nest.example/#sign-in=x' })

it('holds the latest fifty mails for an hour, the time asleep included, and shows each once', async () => {
  const clock = createManualClock()
  const shown: Mail[] = []
  const mails = createHeldMails(clock, (one) => shown.push(one))
  for (let n = 0; n < 60; n++) await mails.send(mail(n))
  expect(shown).toHaveLength(60)
  expect(mails.held()).toHaveLength(50)
  expect(mails.held()[0]).toEqual({ ...mail(10), atMs: clock.wallMs() })
  clock.suspend(3_599_999)
  await mails.send(mail(60))
  clock.suspend(1)
  expect(mails.held().map(({ subject }) => subject)).toEqual(['60'])
})
