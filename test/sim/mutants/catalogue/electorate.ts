import { mutantsOf, type Cut } from '../mutant.ts'

const VOTERS = 'node/services/voters'

/** Guards of who is suggested as a voter, by what is known of machines. */
export const electorateMutants: readonly Cut[] = [
  ...mutantsOf({ file: `${VOTERS}/voter-suggestion.ts`, rule: 'L2.7', scenario: 'who-should-vote' }, [
    {
      name: 'voter-of-an-hour',
      from: 'observedMinutes >= OBSERVED_MINUTES_MIN && ',
      to: '',
      why: 'a laptop is made a voter whose nights nobody has seen',
    },
    {
      name: 'voter-that-is-away',
      from: ' && (share ?? 0) >= AVAILABLE_SHARE_MIN',
      to: '',
      why: 'a quorum is missing every evening',
    },
    {
      name: 'voters-changed-for-nothing',
      from: 'return isBetter ? chosen',
      to: 'return chosen.length > 0 || isBetter ? chosen',
      why: 'people are asked to change voters again and again',
    },
    {
      name: 'fewer-voters-than-now',
      from: 'Math.max(sizeFor(eligible.length), staying.length)',
      to: 'sizeFor(eligible.length)',
      why: 'a suggestion takes away what the mesh can lose',
    },
    {
      name: 'two-voters',
      from: 'Math.min(eligible, 1)',
      to: 'Math.min(eligible, 2)',
      why: 'of two voters both are needed: each one that is off stops the mesh',
    },
    {
      name: 'voters-by-age',
      from: '.toSorted((a, b) => shareOf(b) - shareOf(a))',
      to: '',
      why: 'the oldest machines vote, not those that are there',
    },
  ]),
  ...mutantsOf({ file: `${VOTERS}/availability-watch.ts`, rule: 'L2.7', scenario: 'who-was-there' }, [
    {
      name: 'sleep-is-the-absence-of-others',
      from: 'const wasLate = passedMs > LATE_MS',
      to: 'const wasLate = passedMs > 1e6 * LATE_MS',
      why: 'a laptop that slept tells that servers were away',
    },
    {
      name: 'former-members-kept',
      rule: 'D12',
      from: '    for (const peer of this.#hours.keys()) if (!present.has(peer)) this.#hours.delete(peer)\n',
      to: '',
      why: 'what was seen of every member that ever was is kept',
    },
    {
      name: 'unreadable-hours-stop-the-node',
      from: "it is observed anew')\n      return undefined",
      to: "it is observed anew')\n      throw error",
      why: 'a node does not start after it was run by a later release',
    },
    {
      name: 'hours-of-any-length',
      from: 'Math.min(minutes, MINUTES_PER_HOUR)',
      to: 'minutes',
      why: 'what a disk says counts for more than a week can have',
    },
    {
      name: 'reached-more-than-seen',
      from: 'Math.min(reached[i] ?? 0, known)',
      to: 'reached[i] ?? 0',
      why: 'a machine was there more often than anybody looked',
    },
  ]),
  ...mutantsOf({ file: `${VOTERS}/electorate-service.ts`, rule: 'M5', scenario: 'who-may-make-voters' }, [
    {
      name: 'vote-granted-by-anybody',
      from: "hasCapability(current, self, 'admin') && own",
      to: 'own',
      why: 'the log of every node is filled with what it will not take',
    },
    {
      name: 'vote-granted-beyond-ones-own',
      from: " && own && [...held, 'vote' as const].every((name) => own.has(name))",
      to: '',
      why: 'the log of every node is filled with what it will not take',
    },
    {
      name: 'vote-granted-again',
      from: "if (!held || held.has('vote')) return ok(undefined)",
      to: 'if (!held) return ok(undefined)',
      why: 'every look at the voters writes to the log of all members',
    },
  ]),
]
