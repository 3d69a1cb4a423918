import { setTimeout as delay } from 'node:timers/promises'

/** Making everything durable takes some seconds after a large synchronisation. */
const LOOKS_MAX = 1500
const LOOK_EVERY_MS = 20

/**
 * Waits until a process that was asked to stop is gone, half a minute at most: whoever removes or copies its data next
 * must not meet one that still writes. False when it is still there.
 */
export async function hasGone(pid: number, isThere: (pid: number) => Promise<boolean>): Promise<boolean> {
  for (let looks = 0; looks < LOOKS_MAX; looks++) {
    if (!(await isThere(pid))) return true
    await delay(LOOK_EVERY_MS)
  }
  return false
}
