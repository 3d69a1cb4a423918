/** Everything that is counted, in the order in which it is printed. */
const NAMES = [
  'schedules',
  'simulatedMs',
  'cpuMs',
  'events',
  'acquireCalls',
  'acquisitions',
  'certificates',
  'renewals',
  'suspended',
  'resumed',
  'retokened',
  'lost',
  'restoresTried',
  'restored',
  'expired',
  'released',
  'diedHolding',
  'refusedHeld',
  'refusedNoQuorum',
  'refusedBehind',
  'refusedLimit',
  'deniedConflict',
  'deniedStale',
  'deniedReleased',
  'deniedRevoked',
  'deniedEpoch',
  'deniedNotvoter',
  'deniedRecovering',
  'deniedLimit',
  'deniedMalformed',
  'freeHints',
  'changesTried',
  'changesMade',
  'changesSuperseded',
  'changesUnanswered',
  'changesRefused',
  'lastChanges',
  'setsForced',
  'epochsDecided',
  'sealedFinished',
  'outbids',
  'importConflicts',
  'waitsBegun',
  'waitsEnded',
  'framesSent',
  'framesDropped',
  'framesDuplicated',
  'framesLate',
  'crashes',
  'reboots',
  'restarts',
  'voterRestores',
  'compactions',
  'syncFailures',
  'votersStopped',
  'suspends',
  'diskWipes',
  'rollbacks',
  'rollbackQuestions',
  'quarantined',
  'equivocations',
  'partitions',
  'oneWayCuts',
  'resets',
  'clockSteps',
  'rateChanges',
  'removals',
  'protectedWrites',
  'staleWritesRejected',
  'lastWritesHandedOn',
  'probesPassed',
  'probesSkippedRemoved',
  'probesSkippedQuorumLost',
  'contests',
  'contestTurns',
  'contestCalls',
  'contestWaitMs',
  'contestWaitMsMax',
] as const

export type CountName = (typeof NAMES)[number]
export type Counts = Record<CountName, number>

/** What honest agents and voters never get to hear. */
const NEVER: ReadonlySet<CountName> = new Set(['refusedLimit', 'deniedLimit', 'deniedMalformed'])

/** What has to happen somewhere in a run that is large enough; a run without it has proved nothing about it. */
export const SOMETIMES: readonly CountName[] = NAMES.filter((name) => !NEVER.has(name))

/** From so many schedules on, all of `SOMETIMES` must have happened. */
export const VACUOUS_FROM_SCHEDULES = 2000

export const emptyCounts = (): Counts => Object.fromEntries(NAMES.map((name) => [name, 0])) as Counts

export function addCounts(total: Counts, more: Counts): void {
  for (const name of NAMES) {
    total[name] = name.endsWith('Max') ? Math.max(total[name], more[name]) : total[name] + more[name]
  }
}

/** Names of what should have happened and did not. */
export const missing = (counts: Counts): CountName[] =>
  counts.schedules < VACUOUS_FROM_SCHEDULES ? [] : SOMETIMES.filter((name) => counts[name] === 0)

/** One line each: `refused held   1,234`. */
export function describeCounts(counts: Counts): string {
  const rows = NAMES.map((name): [string, number] =>
    name === 'simulatedMs' ? ['simulated hours', counts[name] / 3_600_000] : [inWords(name), counts[name]],
  )
  const figures = rows.map(([, value]) => value.toLocaleString('en', { maximumFractionDigits: 1 }))
  const width = Math.max(...figures.map((figure) => figure.length))
  return rows.map(([label], i) => `${label.padEnd(30)} ${figures[i]?.padStart(width)}`).join('\n')
}

const inWords = (name: string): string => name.replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`)
