import { countsOf, type Musts } from '../counting.ts'

/** Everything that is counted, in the order in which it is printed. */
const NAMES = [
  'schedules',
  'simulatedMs',
  'cpuMs',
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
  'forks',
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
  'builtOnBranches',
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
  'admissionsLost',
  'removedWrites',
  'refusedNonce',
])

export const MUSTS: Musts = { names: NAMES.filter((name) => !MAY_BE_MISSING.has(name)), fromSchedules: 300 }

export const emptyCounts = (): Counts => countsOf(NAMES)

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
  [/^beyond the end of a forked feed/, 'refusedEquivocation'],
  [/^the author is frozen/, 'refusedFrozen'],
  [/^a nonce is used twice/, 'refusedNonce'],
  [/^the update cannot be applied/, 'refusedUnappliable'],
  [/^a live document larger/, 'refusedTooLarge'],
  [/^could not be written to disk/, 'refusedDisk'],
]

export const countOfReason = (reason: string): CountName | undefined =>
  REASONS.find(([pattern]) => pattern.test(reason))?.[1]
