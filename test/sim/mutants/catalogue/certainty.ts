import { mutantsOf, type Cut } from '../mutant.ts'

const LEASES = 'node/services/leases'

/** Guards of how long is waited for a lease that is not sure. */
export const certaintyMutants: readonly Cut[] = [
  ...mutantsOf({ file: `${LEASES}/lease-held.ts`, rule: 'L2.5', scenario: 'task-waits' }, [
    {
      name: 'confirmed-and-not-told',
      from: 'if (held && this.isValid(leaseId)) wakeAll(held)',
      to: 'if (held && !held) wakeAll(held)',
      why: 'whoever waits for a lease hears that it is back only when it is lost',
    },
    {
      name: 'lost-and-not-told',
      from: '    held.running.release(after)\n    wakeAll(held)\n',
      to: '    held.running.release(after)\n',
      why: 'whoever waits for a lease that is lost waits for ever',
    },
    {
      name: 'closed-and-not-told',
      from: '    for (const one of held) wakeAll(one)\n',
      to: '',
      why: 'a node does not stop as long as somebody waits for a lease',
    },
    {
      name: 'gone-and-waited-for',
      from: "      signal?.addEventListener('abort', conclude)\n",
      to: '',
      why: 'what nobody waits for any more is done all the same',
    },
  ]),
  ...mutantsOf({ file: `${LEASES}/lease-attempts.ts`, rule: 'L2.5', scenario: 'task-waits' }, [
    {
      name: 'confirmations-not-passed-on',
      from: '    this.#deps.leases.confirmed(leaseId)\n',
      to: '',
      why: 'whoever waits for a lease hears that it is back only when it is lost',
    },
  ]),
  ...mutantsOf({ file: 'node/services/claims/claim-certainty.ts', rule: 'L2.5', scenario: 'task-waits' }, [
    {
      name: 'unsure-is-lost',
      from: '  await leases.settled(leaseId, signal)\n',
      to: '',
      why: 'who completes a task after a stall is told to have lost it, although its claim comes back a moment later',
    },
    {
      name: 'called-off-and-done',
      from: 'signal?.aborted === true || resuming',
      to: 'resuming',
      why: 'who has gone away has given back what it held',
    },
    {
      name: 'stopped-and-done',
      from: 'signal?.aborted === true || resuming.isStopped',
      to: 'signal?.aborted === true',
      why: 'a node that stops gives back what its next process could go on with',
    },
    {
      name: 'calls-end-before-it-is-known',
      from: 'UNSURE_CALL_MS = 30_000',
      to: 'UNSURE_CALL_MS = 10_000',
      why: 'through another gateway a claim that came back is told to be unreachable',
    },
  ]),
  ...mutantsOf({ file: 'node/services/tasks/task-ending.ts', rule: 'L2.6', scenario: 'task-waits' }, [
    {
      name: 'strangers-wait',
      from: 'standing?.node === deps.self && !refuse(actor, ending, standing)',
      to: 'standing?.node === deps.self',
      why: 'whoever has no claim keeps calls of a node open',
    },
  ]),
  ...mutantsOf({ file: 'node/services/locks/lock-ending.ts', rule: 'L2.5', scenario: 'lock-waits' }, [
    {
      name: 'rest-lost-with-one-path',
      from: 'const known = isAlone ? ok(null) : await untilCertain',
      to: 'const known = signal !== undefined ? ok(null) : await untilCertain',
      why: 'who gives one path back after a stall loses all others of its lease',
    },
    {
      name: 'unsure-is-not-prolonged',
      from: '  const { record } = lock.value\n  const known = await untilCertain(deps, record.lease, signal)\n  if (!known.ok) return known\n',
      to: '  const { record } = lock.value\n',
      why: 'who prolongs a lock after a stall is told to have lost it, although it comes back a moment later',
    },
  ]),
]
