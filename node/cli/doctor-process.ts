import { bad, type Finding, good, warn } from './finding.ts'
import type { HealthView } from './health-view.ts'

/** Heartbeats and leases stand such a delay; people who type into a terminal notice it. */
const DELAY_WARN_MS = 500
/** Members would take the node for stale, and its leases are at risk. */
const DELAY_BAD_MS = 5000
/** A node of some members and sessions needs a few hundred. */
const DESCRIPTORS_MIN = 4096
const DESCRIPTORS_SHARE_MAX = 0.8

/** How the node's own process fares. */
export const processFindings = ({ eventLoop: { maxMs }, descriptors }: HealthView): Finding[] => [
  eventLoop(maxMs),
  ...(descriptors === null ? [] : [openFiles(descriptors)]),
]

function eventLoop(maxMs: number): Finding {
  const found = `stood still for ${Math.round(maxMs)} ms within the last two minutes`
  const remedy = 'The machine is overloaded or short of memory, or its disk is slow: see `top` and `rookery metrics`.'
  if (maxMs >= DELAY_BAD_MS) return bad('event loop', found, remedy)
  return maxMs >= DELAY_WARN_MS
    ? warn('event loop', found, remedy)
    : good('event loop', `at most ${Math.round(maxMs)} ms late`)
}

function openFiles({ open, limit }: { readonly open: number; readonly limit: number }): Finding {
  const found = `${open} of ${limit}`
  if (open > limit * DESCRIPTORS_SHARE_MAX)
    return bad('open files', found, 'Raise the limit (`ulimit -n 65536`, or LimitNOFILE= of the service) and restart.')
  return limit < DESCRIPTORS_MIN
    ? warn(
        'open files',
        found,
        `Raise the limit to ${DESCRIPTORS_MIN} or more (\`ulimit -n\`, LimitNOFILE= of the service).`,
      )
    : good('open files', found)
}
