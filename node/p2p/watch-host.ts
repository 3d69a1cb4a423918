import type { Cancel, Clock } from '../ports/clock.ts'
import { every } from '../ports/clock.ts'
import { ownHosts } from './addresses.ts'

const WATCH_EVERY_MS = 5000
/** A host whose boot clock ran this much further than its monotonic clock was suspended. */
const SUSPENDED_MS = 2000

/** Every container that starts brings one for its cable, and nobody dials them: they mean nothing without an interface. */
const isOfOneCable = (host: string): boolean => /^fe[89ab]/i.test(host)

/** Notices a host that was suspended, or whose addresses have changed. */
export function watchHost(clock: Clock, onChange: () => void, addresses: () => readonly string[] = ownHosts): Cancel {
  const drift = (): number => clock.bootMs() - clock.monoMs()
  const reachableAt = (): string =>
    addresses()
      .filter((host) => !isOfOneCable(host))
      .join()
  let lastDrift = drift()
  let lastHosts = reachableAt()
  return every(clock, WATCH_EVERY_MS, () => {
    const resumed = drift() - lastDrift > SUSPENDED_MS
    const hosts = reachableAt()
    if (resumed || hosts !== lastHosts) onChange()
    lastDrift = drift()
    lastHosts = hosts
  })
}
