import { expect, it } from 'vitest'
import { err, ok } from '../../../../crdt/result.ts'
import { meterLeases } from '../../../../node/services/claims/lease-meter.ts'
import type {
  AcquireRequest,
  HeldLease,
  LeaseRefusal,
  LeaseService,
} from '../../../../node/services/leases/lease-service.ts'
import type { Certificate, Resource } from '../../../../protocols/lease/messages.ts'
import { createManualClock } from '../../../support/clock.ts'
import { createCountedMetrics } from '../../../support/metrics.ts'

const resource = (kind: Resource['kind']): Resource => ({ kind, key: 'k', mode: 'exact' })
const request = (kind: Resource['kind']): AcquireRequest => ({
  resources: [resource(kind)],
  owner: 'o',
  info: { instanceId: 'i', untilMs: 0 },
  holdUntilMs: 0,
  waitMs: 0,
})
const held = (kind: Resource['kind']): HeldLease => ({ resources: [resource(kind)] }) as unknown as HeldLease
const certificate = (kind: Resource['kind']): Certificate =>
  ({ req: { body: { res: [resource(kind)] } } }) as unknown as Certificate

it('counts what becomes of leases by what they are wanted for, and passes everything on', async () => {
  const metrics = createCountedMetrics()
  const answers: Awaited<ReturnType<LeaseService['acquire']>>[] = [
    ok(held('task')),
    err<LeaseRefusal>({ why: 'no_quorum', missing: [] }),
    err<LeaseRefusal>({ why: 'limit' }),
  ]
  const ends: Parameters<LeaseService['onEnd']>[0][] = []
  const leases = meterLeases(
    {
      acquire: async () => answers.shift() ?? err({ why: 'limit' }),
      resume: async (_certificate: Certificate, holdUntilMs: number) => holdUntilMs > 0,
      onEnd: (listener: (typeof ends)[number]) => {
        ends.push(listener)
        return () => undefined
      },
    } as unknown as LeaseService,
    { metrics, clock: createManualClock() },
  )
  expect(await leases.acquire(request('task'))).toEqual(ok(held('task')))
  expect(await leases.acquire(request('path'))).toEqual(err({ why: 'no_quorum', missing: [] }))
  expect(await leases.acquire(request('name'))).toEqual(err({ why: 'limit' }))
  expect([await leases.resume(certificate('task'), 1), await leases.resume(certificate('path'), 0)]).toEqual([
    true,
    false,
  ])
  for (const end of ends) end(held('path'), 'lost')
  expect(metrics.counts()).toEqual({
    'rookery_leases_total{"purpose":"task","outcome":"certified"}': 1,
    'rookery_leases_total{"purpose":"lock","outcome":"no_quorum"}': 1,
    'rookery_leases_total{"purpose":"account","outcome":"limit"}': 1,
    'rookery_leases_total{"purpose":"task","outcome":"resumed"}': 1,
    'rookery_leases_total{"purpose":"lock","outcome":"not_resumed"}': 1,
    'rookery_leases_total{"purpose":"lock","outcome":"lost"}': 1,
    'rookery_lease_request_duration_seconds{"purpose":"task"}': 1,
    'rookery_lease_request_duration_seconds{"purpose":"lock"}': 1,
    'rookery_lease_request_duration_seconds{"purpose":"account"}': 1,
  })
})
