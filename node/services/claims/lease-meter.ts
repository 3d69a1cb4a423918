import type { Resource } from '../../../protocols/lease/messages.ts'
import type { Clock } from '../../ports/clock.ts'
import type { Metrics } from '../../ports/metrics.ts'
import type { LeaseService } from '../leases/lease-service.ts'

const PURPOSES = { task: 'task', path: 'lock', name: 'account' } as const

/** What the resources of a lease are wanted for. */
const purposeOf = ([first]: readonly Resource[]): string => (first ? PURPOSES[first.kind] : 'none')

/** The same leases; what becomes of each is counted, by what it was wanted for. */
export function meterLeases<L extends LeaseService>(leases: L, deps: { metrics: Metrics; clock: Clock }): L {
  const { metrics, clock } = deps
  const note = (resources: readonly Resource[], outcome: string): void =>
    metrics.count('rookery_leases_total', { purpose: purposeOf(resources), outcome })
  leases.onEnd(({ resources }, why) => note(resources, why))
  return {
    ...leases,
    async acquire(request) {
      const startMs = clock.monoMs()
      const outcome = await leases.acquire(request)
      note(request.resources, outcome.ok ? 'certified' : outcome.error.why)
      const seconds = (clock.monoMs() - startMs) / 1000
      metrics.observe('rookery_lease_request_duration_seconds', { purpose: purposeOf(request.resources) }, seconds)
      return outcome
    },
    async resume(certificate, holdUntilMs) {
      const isResumed = await leases.resume(certificate, holdUntilMs)
      note(certificate.req.body.res, isResumed ? 'resumed' : 'not_resumed')
      return isResumed
    },
  }
}
