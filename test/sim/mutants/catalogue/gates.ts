import { mutantsOf } from '../mutant.ts'

const RESTORATION = 'node/services/feeds/restoration.ts'
const CONTACTS = 'node/services/membership/contact-watch.ts'

/** What keeps a node still while it may not know enough. */
export const gateMutants = [
  ...mutantsOf({ file: RESTORATION, rule: 'M14', scenario: 'restored-node' }, [
    {
      name: 'restored-node-waits-for-nobody',
      from: 'if (!this.#state || this.#isCopy || this.#awaited().length > 0) return',
      to: 'if (!this.#state || this.#isCopy) return',
      why: 'the first member that answers may have none of what was written after the backup',
    },
    {
      name: 'restored-node-takes-words-for-deeds',
      from: 'seq ?? 0) >= seq)',
      to: 'seq ?? 0) >= 0 * seq)',
      why: 'the node knows that it wrote more, and writes at the same places again',
    },
    {
      name: 'other-copy-tolerated',
      from: 'if (isElsewhere) return false',
      to: 'void isElsewhere',
      why: 'two processes write with one key, and the mesh takes their node for a forger',
    },
    {
      name: 'members-after-the-backup-forgotten',
      from: 'return [...new Set([...storing, ...unknown])]',
      to: 'return [...new Set([...storing, ...unknown.slice(0, 0)])]',
      why: 'a member that was admitted after the backup may be the only one that has what came then',
    },
    {
      name: 'removed-members-awaited',
      from: '!members.has(peer) && !removed.has(peer)',
      to: '!members.has(peer) && removed !== undefined',
      why: 'a restored node waits for ever for whoever was removed',
    },
    {
      name: 'heard-not-remembered',
      from: 'this.#state = { ...this.#state, heard }\n      await this.#save()',
      to: 'this.#state = { ...this.#state, heard }',
      why: 'members that are seldom there have to be there again after each restart',
    },
  ]),
  ...mutantsOf({ file: RESTORATION, rule: 'M14', scenario: 'disk-went-back' }, [
    {
      name: 'forgotten-writes-unnoticed',
      from: 'if (envelopes.length === 0) return',
      to: 'if (envelopes.length >= 0) return',
      why: 'a disk that went back in time makes its node sign two histories',
    },
    {
      name: 'copy-taken-for-memory-loss',
      from: 'const isCopy = envelopes.some(({ at }) => at > this.#startedMs + CLOCKS_APART_MS)',
      to: 'const isCopy = envelopes.some(({ at }) => at > Infinity * CLOCKS_APART_MS)',
      why: 'two processes take turns in writing with one key',
    },
  ]),
  ...mutantsOf({ file: CONTACTS, rule: 'M7', scenario: 'cut-off-machine' }, [
    {
      name: 'never-stale',
      from: 'return nowMs - heardMs <= this.#deps.limitMs',
      to: 'return nowMs >= heardMs || this.#deps.limitMs > 0',
      why: 'a machine that is cut off obeys a removed member for ever',
    },
    {
      name: 'removed-admin-vouches-for-itself',
      from: "peer !== from && peer !== self && capabilities.has('admin')",
      to: "peer !== self && capabilities.has('admin')",
      why: 'an admin that was removed goes on where nobody else was heard of',
    },
    {
      name: 'asker-is-of-the-majority',
      from: 'voters().filter((peer) => peer !== from && (peer === self || this.#isRecent(peer)))',
      to: 'voters().filter((peer) => peer === self || this.#isRecent(peer))',
      why: 'a voter that was removed makes up the majority that vouches for it',
    },
    {
      name: 'half-of-the-voters-vouch',
      from: 'if (recent.length > voters().length / 2) return undefined',
      to: 'if (recent.length >= 1) return undefined',
      why: 'one voter on the wrong side of a cut is believed',
    },
    {
      name: 'downtime-not-counted',
      from: '((saved?.ages[peer] ?? 0) + missedMs)',
      to: '((saved?.ages[peer] ?? 0) + 0 * Math.min(missedMs, 1))',
      why: 'a machine that was off for a month obeys whoever was removed meanwhile',
    },
    {
      name: 'clock-set-back-believed',
      from: 'const missedMs = downMs < -STEP_MS ? Infinity : Math.max(0, downMs)',
      to: 'const missedMs = Math.max(0, downMs, -Infinity * STEP_MS)',
      why: 'setting the clock back makes a machine forget how long it was alone',
    },
    {
      name: 'unreadable-contacts-believed',
      from: 'return { v: 1, savedAt: Infinity, ages: {} }',
      to: 'return undefined',
      why: 'damage to one record lets a machine run what it should refuse',
    },
    {
      name: 'sleep-not-counted',
      from: 'const nowMs = this.#deps.clock.bootMs()\n    const heardMs',
      to: 'const nowMs = this.#deps.clock.monoMs()\n    const heardMs',
      why: 'a laptop that slept for a week obeys whoever was removed meanwhile',
    },
  ]),
]
