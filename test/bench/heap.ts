import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void

/** JavaScript objects in use, once all garbage is gone. */
export function heapBytes(): number {
  // What finalizers let go of is found by the second round.
  collect()
  collect()
  return process.memoryUsage().heapUsed
}
