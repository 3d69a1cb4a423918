import type { Cancel, Clock } from '../ports/clock.ts'
import { every } from '../ports/clock.ts'
import { ownHosts } from './addresses.ts'

const WATCH_EVERY_MS = 5000
/** A host whose boot clock ran this much further than its monotonic clock was suspended. */
const SUSPENDED_MS = 2000

/** Notices a host that was suspended, or whose addresses have changed. */
export function watchHost(clock: Clock, onChange: () => void): Cancel {
  const drift = (): number => clock.bootMs() - clock.monoMs()
  let lastDrift = drift()
  let lastHosts = ownHosts().join()
  return every(clock, WATCH_EVERY_MS, () => {
    const resumed = drift() - lastDrift > SUSPENDED_MS
    const hosts = ownHosts().join()
    if (resumed || hosts !== lastHosts) onChange()
    lastDrift = drift()
    lastHosts = hosts
  })
}
