import { every, type Cancel, type Clock } from '../../ports/clock.ts'
import type { HostSleep } from '../../ports/host-sleep.ts'
import type { PresenceService } from './presence-service.ts'

/** The goodbye has left by then, over a slow link too. */
const LEAVE_MS = 200
const LOOK_EVERY_MS = 1000
/** A host whose boot clock ran this much further than its monotonic clock has slept. */
const SLEPT_MS = 2000
/** One that is awake for so long after it was to sleep does not, or did for a moment only. */
const AWAKE_MS = 10_000

export type SleepGoodbyeDeps = {
  readonly clock: Clock
  readonly presence: Pick<PresenceService, 'suspend' | 'resume'>
  readonly hostSleep: HostSleep
}

/** Says goodbye before this host goes to sleep, and that it is there again once it has woken. */
export function sayGoodbyeBeforeSleep({ clock, presence, hostSleep }: SleepGoodbyeDeps): Cancel {
  let cancelLooking: Cancel = () => undefined
  const slept = (): number => clock.bootMs() - clock.monoMs()
  const cancelWatch = hostSleep.onSleep(async () => {
    presence.suspend()
    const [sleptMs, awakeMs] = [slept() + SLEPT_MS, clock.monoMs() + AWAKE_MS]
    cancelLooking()
    cancelLooking = every(clock, LOOK_EVERY_MS, () => {
      if (slept() < sleptMs && clock.monoMs() < awakeMs) return
      cancelLooking()
      presence.resume()
    })
    await new Promise<void>((resolve) => clock.after(LEAVE_MS, resolve))
  })
  return () => {
    cancelWatch()
    cancelLooking()
  }
}
