/** Everything that is counted, in the order in which it is printed. */
const NAMES = [
  'schedules',
  'simulatedMs',
  'events',
  'writes',
  'acknowledged',
  'writesRefused',
  'conflictingEdits',
  'largeWrites',
  'failedChanges',
  'envelopesApplied',
  'envelopesWaited',
  'liveGenerations',
  'snapshotsSaved',
  'snapshotsLoaded',
  'diskRefusals',
  'framesSent',
  'framesDropped',
  'framesDuplicated',
  'framesLate',
  'crashes',
  'crashesWithUnsynced',
  'restarts',
  'gracefulStops',
  'suspends',
  'diskLosses',
  'partitions',
  'oneWayCuts',
  'resets',
  'clockSteps',
  'rateChanges',
  'joins',
  'lateJoins',
  'joinsRepeated',
  'admissionsLost',
  'removals',
  'mutualRemovals',
  'removalsSeenLate',
  'cutsApplied',
  'removedWrites',
  'attacks',
  'freezes',
  'mismatches',
  'refusedSignature',
  'refusedMalformedEnvelope',
  'refusedMalformedUpdate',
  'refusedForeignMesh',
  'refusedNotMember',
  'refusedBeyondCut',
  'refusedBranch',
  'refusedVoidAdmission',
  'refusedForeignDocument',
  'refusedCapability',
  'refusedEquivocation',
  'refusedFrozen',
  'refusedNonce',
  'refusedUnappliable',
  'refusedTooLarge',
  'refusedDisk',
  'refusedRecords',
  'waitingMost',
  'convergedDocuments',
  'disputedDocuments',
  'ackedFound',
  'ackedBeyondCut',
] as const

export type CountName = (typeof NAMES)[number]
export type Counts = Record<CountName, number>

/** What does not have to happen in every run that is large enough: too rare, or not worth a claim. */
const MAY_BE_MISSING: ReadonlySet<CountName> = new Set([
  'refusedUnappliable',
  'refusedTooLarge',
  'refusedBranch',
  'disputedDocuments',
  'admissionsLost',
  'removedWrites',
  'refusedNonce',
])

/** Counted as a maximum over schedules instead of a sum. */
const PEAKS: ReadonlySet<CountName> = new Set(['waitingMost'])

/** From so many schedules on, everything must have happened: a run without it has proved nothing about it. */
export const VACUOUS_FROM_SCHEDULES = 300

export const emptyCounts = (): Counts => Object.fromEntries(NAMES.map((name) => [name, 0])) as Counts

export function addCounts(total: Counts, more: Counts): void {
  for (const name of NAMES) total[name] = PEAKS.has(name) ? Math.max(total[name], more[name]) : total[name] + more[name]
}

/** Names of what should have happened and did not. */
export const missing = (counts: Counts, from = VACUOUS_FROM_SCHEDULES): CountName[] =>
  counts.schedules < from ? [] : NAMES.filter((name) => counts[name] === 0 && !MAY_BE_MISSING.has(name))

/** One line each: `writes refused   1,234`. */
export function describeCounts(counts: Counts): string {
  const rows = NAMES.map((name): [string, number] =>
    name === 'simulatedMs' ? ['simulated hours', counts[name] / 3_600_000] : [inWords(name), counts[name]],
  )
  const figures = rows.map(([, value]) => value.toLocaleString('en', { maximumFractionDigits: 1 }))
  const width = Math.max(...figures.map((figure) => figure.length))
  return rows.map(([label], i) => `${label.padEnd(30)} ${figures[i]?.padStart(width)}`).join('\n')
}

const inWords = (name: string): string => name.replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`)

/** Which count a reason for a refusal belongs to, most specific first. */
const REASONS: readonly (readonly [RegExp, CountName])[] = [
  [/^the signature is not valid/, 'refusedSignature'],
  [/^malformed envelope/, 'refusedMalformedEnvelope'],
  [/^malformed update/, 'refusedMalformedUpdate'],
  [/^an envelope of another mesh/, 'refusedForeignMesh'],
  [/^the author is no member/, 'refusedNotMember'],
  [/^beyond the cut/, 'refusedBeyondCut'],
  [/^the admission of the author is void/, 'refusedVoidAdmission'],
  [/^not the branch of the removal/, 'refusedBranch'],
  [/^only its own machine/, 'refusedForeignDocument'],
  [/^only gateways write accounts|^the author lacks the capability/, 'refusedCapability'],
  [/^equivocation/, 'refusedEquivocation'],
  [/^the author is frozen/, 'refusedFrozen'],
  [/^a nonce is used twice/, 'refusedNonce'],
  [/^the update cannot be applied/, 'refusedUnappliable'],
  [/^a live document larger/, 'refusedTooLarge'],
  [/^could not be written to disk/, 'refusedDisk'],
]

export const countOfReason = (reason: string): CountName | undefined =>
  REASONS.find(([pattern]) => pattern.test(reason))?.[1]
