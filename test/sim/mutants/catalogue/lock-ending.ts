import { mutantsOf, type Cut } from '../mutant.ts'

const LOCKS = 'node/services/locks'
const ENDING = `${LOCKS}/lock-ending.ts`
const KEEPING = `${LOCKS}/lock-keeping.ts`

/** Guards of how locks end, and of what outlives the process of their node. */
export const lockEndingMutants: readonly Cut[] = [
  ...mutantsOf({ file: ENDING, rule: 'L2.8', scenario: 'lock-ended-by' }, [
    {
      name: 'gateway-believed',
      from: "held.node === deps.self ? refuse(actor, held, input) : domainError('superseded')",
      to: "held.node === deps.self ? undefined : domainError('superseded')",
      why: 'a gateway has locks of others ended',
    },
    {
      name: 'lock-of-another-node',
      from: "held.node === deps.self ? refuse(actor, held, input) : domainError('superseded')",
      to: 'refuse(actor, held, input)',
      why: 'a lock is told to be given back that its node goes on to hold',
    },
    {
      name: 'force-believed',
      from: "can(actor, 'lock:admin') ? await forceHere(deps, actor, input, signal) : err(domainError('forbidden'))",
      to: 'await forceHere(deps, actor, input, signal)',
      why: 'a gateway has locks of others taken away',
    },
    {
      name: 'force-of-another-node',
      from: "isOwn(held) ? undefined : domainError('superseded')",
      to: 'void isOwn(held)',
      why: 'a lock is told to be taken away that its node goes on to hold',
    },
    {
      name: 'release-refused-too-late',
      from: 'refuse(actor, held, input))\n      if (!lock.ok) return lock\n      const call',
      to: 'refuse && held && undefined)\n      if (!lock.ok) return lock\n      const call',
      why: 'whoever may not end a lock learns where it is held',
    },
    {
      name: 'extend-refused-too-late',
      from: 'refuse(actor, held, input))\n      if (!lock.ok) return lock\n      const untilMs',
      to: 'refuse && held && undefined)\n      if (!lock.ok) return lock\n      const untilMs',
      why: 'whoever may not prolong a lock learns where it is held',
    },
  ]),
  ...mutantsOf({ file: ENDING, rule: 'L2.8', scenario: 'lock-ended-once' }, [
    {
      name: 'released-at-once',
      from: 'await deps.turns(record.lease, () => dropPath(deps, record.lease, id))',
      to: 'await dropPath(deps, record.lease, id)',
      why: 'of two paths that are given back at once one stays locked',
    },
    {
      name: 'twins-stay',
      from: 'if (isTwin(other, record)) dropped',
      to: 'if (isTwin(other, record) && !dropped) dropped',
      why: 'what was taken away while it was certified is held',
    },
    {
      name: 'extended-while-certified',
      from: 'held.find((entry) => entry.record.lease === record.lease) ?? held[0]',
      to: 'held.find((entry) => entry.record.lease === record.lease)',
      why: 'a holder is told to have lost what was just certified',
    },
  ]),
  ...mutantsOf({ file: ENDING, rule: 'L2.8', scenario: 'lock-unsure' }, [
    {
      name: 'only-what-is-shown-is-given-back',
      from: 'const candidates = lock ? [lock, ...own] : own',
      to: 'const candidates = lock ? [lock] : own.slice(own.length)',
      why: 'what was given back while its voters were away is held again when they return',
    },
  ]),
  ...mutantsOf({ file: KEEPING, rule: 'L2.11', scenario: 'kept-locks' }, [
    {
      name: 'kept-by-count',
      from: ' && kept.every((lock, i) => lock === saved[i])',
      to: '',
      why: 'a lock that was prolonged ends with its first time',
    },
    {
      name: 'unreadable-stops-the-node',
      from: 'if (!(error instanceof MalformedError)) throw error',
      to: 'throw error',
      why: 'a node does not start when it cannot read what it held',
    },
    {
      name: 'kept-with-every-write',
      rule: 'D9',
      from: '      if (kept.length === saved.length && kept.every((lock, i) => lock === saved[i])) return\n',
      to: '',
      why: 'every provisional lock writes all that is certified anew',
    },
  ]),
  ...mutantsOf({ file: KEEPING, rule: 'P5', scenario: 'lost-locks' }, [
    {
      name: 'settled-in-vain',
      from: 'for (const lock of locks) unsettled.delete(lock)',
      to: 'void locks',
      why: 'what was read comes back with every start',
    },
  ]),
]
