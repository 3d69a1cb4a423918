import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { expect, it } from 'vitest'
import { meterFeeds, refusalLabel } from '../../../../node/services/feeds/feed-meter.ts'
import { createCountedMetrics } from '../../../support/metrics.ts'
import { createMembership, createTestReplica, PROJECT, setKey } from '../../../support/replicas.ts'

const ROOT = resolve(import.meta.dirname, '../../../..')
const SOURCES = ['protocols/feed/check.ts', 'node/services/feeds/intake.ts', 'node/services/feeds/turns.ts']
/** Where these sources say why an envelope is refused: `reason: '…'` and `refuse('…'`, as text or template. */
const REASON = /(?:reason: |refuse\()['`]([^'`]+)['`]/g

it('has a label for every reason for which an envelope can be refused', () => {
  const reasons = SOURCES.flatMap((file) =>
    [...readFileSync(resolve(ROOT, file), 'utf8').matchAll(REASON)].map(([, reason = '']) => reason),
  )
  expect(reasons.length).toBeGreaterThan(15)
  expect(reasons.filter((reason) => refusalLabel(reason) === 'other')).toEqual([])
})

it('counts a sentence that nobody foresaw under one label', () => {
  expect(refusalLabel('the moon is full, says 12D3Koo…')).toBe('other')
})

it('counts envelopes by what becomes of them, and refusals by reason', async () => {
  const membership = createMembership(2)
  const [author, reader] = [await createTestReplica(1, membership), await createTestReplica(2, membership)]
  const metrics = createCountedMetrics()
  const sent: Uint8Array[] = []
  const metered = meterFeeds(author.documents, metrics)
  metered.onAppend((envelopes) => sent.push(...envelopes.map(({ bytes }) => bytes)))
  await metered.write(PROJECT, undefined, setKey('a', 1))
  await metered.write(PROJECT, undefined, setKey('b', 2))
  const [first = new Uint8Array(), second = new Uint8Array()] = sent
  const receiver = meterFeeds(reader.documents, metrics)
  await receiver.receive([second], author.peer)
  await receiver.receive([first, new Uint8Array([1])], author.peer)
  expect(metrics.counts()).toEqual({
    'rookery_envelopes_written_total{}': 2,
    'rookery_envelopes_received_total{"outcome":"waiting"}': 1,
    'rookery_envelopes_received_total{"outcome":"applied"}': 2,
    'rookery_envelopes_received_total{"outcome":"refused"}': 1,
    'rookery_envelopes_refused_total{"reason":"malformed"}': 1,
  })
})
