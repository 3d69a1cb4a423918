import type { Cancel } from './clock.ts'

export interface HostSleep {
  /**
   * Calls `beforeSleep` each time this host is about to be suspended; the system waits for it, for some seconds at most.
   * Never calls it where the system does not tell.
   */
  onSleep(beforeSleep: () => Promise<void>): Cancel
}
