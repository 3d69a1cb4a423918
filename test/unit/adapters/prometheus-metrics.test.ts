import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { createPrometheusMetrics } from '../../../node/adapters/prometheus-metrics.ts'
import { METRICS } from '../../../node/ports/metric-catalogue.ts'
import { createRecordedLog } from '../../support/log.ts'
import { parseMetrics, type Scraped } from '../../support/prometheus-text.ts'
import { OPERATING, withMetrics } from '../../support/metrics-table.ts'

const lookAt = async (metrics: ReturnType<typeof createPrometheusMetrics>): Promise<Scraped> =>
  parseMetrics(await metrics.text())

describe('the catalogue', () => {
  it('follows the conventions of Prometheus: prefix, base units, `_total` for what only grows', () => {
    for (const [name, { type, help }] of Object.entries(METRICS)) {
      expect(name).toMatch(/^rookery_[a-z_]+[a-z]$/)
      expect([name, name.endsWith('_total')]).toEqual([name, type === 'counter'])
      expect(name).not.toMatch(/_(ms|milliseconds|kb|percent)(_|$)/)
      expect(help).toMatch(/\.$/)
    }
  })

  it('is what the manual lists', () => {
    const manual = readFileSync(OPERATING, 'utf8')
    expect(manual).toBe(withMetrics(manual))
  })
})

describe('metrics for Prometheus', () => {
  it('adds up what is counted, and sorts what is observed into buckets', async () => {
    const metrics = createPrometheusMetrics(createRecordedLog())
    metrics.count('rookery_envelopes_sent_total', { why: 'push' })
    metrics.count('rookery_envelopes_sent_total', { why: 'push' }, 4)
    metrics.count('rookery_envelopes_sent_total', { why: 'answer' }, 2)
    metrics.observe('rookery_lease_request_duration_seconds', { purpose: 'task' }, 0.003)
    const seen = await lookAt(metrics)
    expect(seen.by('rookery_envelopes_sent_total', 'why')).toEqual({ push: 5, answer: 2 })
    const bucket = (le: string): number | undefined =>
      seen.value('rookery_lease_request_duration_seconds_bucket', { purpose: 'task', le })
    expect([bucket('0.002'), bucket('0.005'), bucket('+Inf')]).toEqual([0, 1, 1])
  })

  it('asks readers at every look, and no more once they are cancelled', async () => {
    const metrics = createPrometheusMetrics(createRecordedLog())
    let members = 1
    const cancel = metrics.onLook('rookery_members', () => [[members, {}]])
    expect((await lookAt(metrics)).value('rookery_members')).toBe(1)
    members = 3
    expect((await lookAt(metrics)).value('rookery_members')).toBe(3)
    cancel()
    expect((await lookAt(metrics)).value('rookery_members')).toBe(0)
  })

  it('forgets labels that a reader does not name any more', async () => {
    const metrics = createPrometheusMetrics(createRecordedLog())
    let document = 'a'
    metrics.onLook('rookery_document_lag_envelopes', () => [[7, { document }]])
    await lookAt(metrics)
    document = 'b'
    expect((await lookAt(metrics)).by('rookery_document_lag_envelopes', 'document')).toEqual({ b: 7 })
  })

  it('shows everything else when one reader fails, and what is no number not at all', async () => {
    const metrics = createPrometheusMetrics(createRecordedLog())
    metrics.onLook('rookery_store_bytes', async () => {
      throw new Error('no disk')
    })
    metrics.onLook('rookery_process_open_fds', () => [[Number.NaN, {}]])
    metrics.onLook('rookery_members', () => [[2, {}]])
    const seen = await lookAt(metrics)
    expect(seen.value('rookery_members')).toBe(2)
    expect(seen.by('rookery_store_bytes', 'store')).toEqual({})
    expect(seen.value('rookery_process_open_fds')).toBe(0)
  })

  it('bounds what one metric may show, whatever its readers name', async () => {
    const metrics = createPrometheusMetrics(createRecordedLog())
    metrics.onLook('rookery_document_lag_envelopes', () =>
      Array.from({ length: 5000 }, (_, i) => [1, { document: String(i) }] as const),
    )
    const seen = await lookAt(metrics)
    expect(Object.keys(seen.by('rookery_document_lag_envelopes', 'document'))).toHaveLength(1000)
  })
})
