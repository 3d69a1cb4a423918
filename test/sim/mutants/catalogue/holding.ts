import { mutantsOf } from '../mutant.ts'

const LEASES = 'node/services/leases'

export const holdingMutants = [
  ...mutantsOf({ file: `${LEASES}/lease-acquire.ts`, rule: 'L2.5', scenario: 'waiting-for-a-holder' }, [
    {
      name: 'lapsed-while-catching-up',
      rule: 'I1',
      scenario: 'acquire-and-fail',
      from: 'if (author === undefined && ctx.isValid(lease)) return ok(lease)',
      to: 'if (author === undefined) return ok(lease)',
      why: 'a lease is handed out that another may hold',
    },
    {
      name: 'not-given-back',
      scenario: 'catching-up',
      from: 'ctx.giveBack(lease)',
      to: '',
      why: 'a lease that was refused to its owner blocks others',
    },
    {
      name: 'hasty-for-ever',
      scenario: 'acquire-and-fail',
      from: 'retries < HASTY_TRIES)',
      to: 'retries < 1e9)',
      why: 'one voter that is never content stops all attempts',
    },
    {
      name: 'silent-voters-are-waited-for',
      scenario: 'acquire-and-fail',
      from: 'if_silent: startMs + timings.answerMs,',
      to: 'if_silent: answerByMs,',
      why: 'whoever asks is not answered in time',
    },
    {
      name: 'gives-up-at-once',
      from: 'if_held: startMs + waitMs,',
      to: 'if_held: startMs,',
      why: 'nobody can wait for a holder',
    },
    {
      name: 'rivals-wake-each-other',
      from: 'const isHeld = conflicts.filter((by) => by.lid === lid && by.node === first.node).length >= quorum',
      to: 'const isHeld = conflicts.length + quorum > 0',
      why: 'newcomers that split the votes wake each other by withdrawing, for ever',
    },
    {
      name: 'hints-unheard',
      from: "if (verdict.next === 'if_held') await ctx.pauseUntilFree(restMs)",
      to: "if (verdict.next === 'if_held') await ctx.pause(restMs)",
      why: 'whoever waits learns of a release only by trying again',
    },
  ]),
  ...mutantsOf({ file: `${LEASES}/lease-held.ts`, rule: 'L2.5', scenario: 'holding' }, [
    {
      name: 'valid-beyond-the-hold',
      from: 'return held !== undefined && leftMs(held, now) > 0 && held.running.claim.isValid(now)',
      to: 'return held !== undefined && held.running.claim.isValid(now)',
      why: 'between the end of a hold and its timer the lease is used',
      scenario: 'end-of-a-hold',
    },
    {
      name: 'valid-by-the-hold-only',
      rule: 'I1',
      scenario: 'sleeping-host',
      from: 'return held !== undefined && leftMs(held, now) > 0 && held.running.claim.isValid(now)',
      to: 'return held !== undefined && leftMs(held, now) > 0',
      why: 'a lease is used that its voters may have given to another',
      expects: ['I1', 'I3'],
    },
    {
      name: 'ended-lease-extended',
      rule: 'I1',
      from: 'if (!held || !this.isValid(leaseId)) return false',
      to: 'if (!held) return false',
      why: 'an agent is told that it holds what it has lost',
    },
    {
      name: 'timer-of-any-length',
      from: 'Math.min(timerMs(leftMs(held, now)), TIMER_MAX_MS)',
      to: 'timerMs(leftMs(held, now))',
      why: 'hosts run a timer that is too long at once',
      scenario: 'end-of-a-hold',
    },
    {
      name: 'end-of-hold-not-released',
      from: 'this.#leases.delete(held.lease.leaseId)\n    held.cancel()\n    held.running.release(after)',
      to: 'this.#leases.delete(held.lease.leaseId)\n    held.cancel()\n    void after',
      why: 'what has ended blocks others',
      expects: ['L2.5', 'I1'],
    },
    {
      name: 'one-listener-hurts-another',
      scenario: 'end-of-a-hold',
      from: "this.#deps.log.error({ err: error, leaseId: held.lease.leaseId }, 'a lease listener failed')",
      to: 'throw error',
      why: 'who comes later is not told that its lease has ended',
    },
  ]),
  ...mutantsOf({ file: `${LEASES}/lease-service.ts`, rule: 'L2.9', scenario: 'acquire-and-fail' }, [
    {
      name: 'asks-for-anything',
      from: "if (resources.length === 0 || !areNormalised(resources)) throw new TypeError('resources must be normalised')",
      to: '',
      why: 'a mistake of a caller becomes a refusal without a useful word',
    },
  ]),
  ...mutantsOf({ file: 'protocols/lease/positions.ts', rule: 'L2.4', scenario: 'positions' }, [
    {
      name: 'any-position-of-a-feed',
      from: 'known === undefined ? furthest.size < AFTER_MAX : known.seq < position.seq',
      to: 'known === undefined ? furthest.size < AFTER_MAX : true',
      why: 'a claim acts on a state that is older than the last write',
    },
    {
      name: 'any-number-of-positions',
      from: 'known === undefined ? furthest.size < AFTER_MAX : known.seq < position.seq',
      to: 'known === undefined || known.seq < position.seq',
      why: 'a grant that nobody can read',
    },
    {
      name: 'earlier-write-remembered',
      from: 'known && known.at.seq > at.seq ? known : { scope, at }',
      to: 'known && known.at.seq < 0 ? known : { scope, at }',
      why: 'a claim acts on a state that is older than the last write',
    },
    {
      name: 'last-writes-unbounded',
      from: 'if (this.#positions.size > AFTER_FLOOR_MAX && !oldest.done) this.#positions.delete(oldest.value)',
      to: 'void [oldest, AFTER_FLOOR_MAX]',
      why: 'a voter remembers the writes of every lease there ever was',
    },
    {
      name: 'everybody-waits-for-everything',
      from: 'scopes.has(scope) || scopes.has(EVERYTHING) || scope === EVERYTHING',
      to: 'scopes.size > 0 || scope === EVERYTHING',
      why: 'one author that is away keeps every project waiting',
    },
    {
      name: 'everything-waits-for-nothing',
      from: 'scopes.has(scope) || scopes.has(EVERYTHING) || scope === EVERYTHING',
      to: 'scopes.has(scope) || scope === EVERYTHING',
      why: 'whoever takes the whole tree acts on a state that is older than the last write',
    },
    {
      name: 'nothing-waits-for-everything',
      from: 'scopes.has(scope) || scopes.has(EVERYTHING) || scope === EVERYTHING',
      to: 'scopes.has(scope) || scopes.has(EVERYTHING)',
      why: 'a claim acts on a state that is older than a write to the whole tree',
    },
  ]),
]
