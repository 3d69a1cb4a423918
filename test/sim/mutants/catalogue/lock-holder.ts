import { mutantsOf, type Cut } from '../mutant.ts'

const LOCKS = 'node/services/locks'
const ENDING = `${LOCKS}/lock-ending.ts`
const KNOWN = '  await deps.resuming.known()\n'
const FOUND = '  const found = await findLock(deps, projectId, path)\n  if (!found.ok) return found\n'

/** Guards of what the node of a holder does when it is asked to. */
export const lockHolderMutants: readonly Cut[] = [
  ...mutantsOf({ file: ENDING, rule: 'I1', scenario: 'lock-of-one-holder' }, [
    {
      name: 'twin-by-token',
      from: 'a.instance === b.instance && a.tokenId',
      to: 'a.tokenId',
      why: 'an instance gives back, or prolongs, what another of its token was granted meanwhile',
    },
    {
      name: 'twin-by-instance',
      from: ' && a.tokenId === b.tokenId',
      to: '',
      why: 'an instance gives back, or prolongs, what another token was granted under its name',
    },
    {
      name: 'lock-ended-before-it-is-known',
      rule: 'L2.11',
      from: `${KNOWN}${FOUND}  const { lock, own }`,
      to: `${FOUND}  const { lock, own }`,
      why: 'a holder is told after a restart that it holds nothing, and its lock goes on',
    },
  ]),
  ...mutantsOf({ file: ENDING, rule: 'L2.8', scenario: 'lock-prolonged' }, [
    {
      name: 'prolonged-for-ever',
      from: 'Math.min(input.untilMs, Math.trunc(deps.clock.wallMs()) + LOCK_MINUTES_MAX * 60_000)',
      to: 'input.untilMs',
      why: 'another gateway has a lock last for ever',
    },
    {
      name: 'prolonged-to-less',
      from: 'Math.max(untilMs, beforeMs)',
      to: 'untilMs',
      why: 'of two that prolong one lock at once the later one makes it shorter',
    },
    {
      name: 'one-of-many-prolonged',
      from: 'entries.map((entry) => ({',
      to: 'entries.slice(0, 1).map((entry) => ({',
      why: 'paths that were locked together are shown to end one by one while their lease goes on',
    },
    {
      name: 'lapsed-and-prolonged',
      rule: 'L2.5',
      from: "if (!deps.leases.extend(leaseId, endMs)) return err(domainError('superseded'))",
      to: 'deps.leases.extend(leaseId, endMs)',
      why: 'an agent is told to hold for longer what it has lost',
    },
    {
      name: 'refused-and-held-longer',
      rule: 'D7',
      from: 'if (!put?.ok) deps.leases.extend(leaseId, beforeMs)',
      to: 'void put',
      why: 'a path stays locked after the time that is shown',
    },
  ]),
  ...mutantsOf({ file: ENDING, rule: 'D9', scenario: 'lock-without-a-lease' }, [
    {
      name: 'every-end-is-written',
      from: 'if (deps.live.ofLease(leaseId).length > 0) await dropLease',
      to: 'await dropLease',
      why: 'every task that is completed costs a write of the live document',
    },
  ]),
  ...mutantsOf({ file: `${LOCKS}/lock-lease.ts`, rule: 'L2.5', scenario: 'lock-without-a-lease' }, [
    {
      name: 'granted-and-not-written',
      from: 'if (!put?.ok) await deps.leases.release(outcome.value.leaseId)',
      to: 'void put',
      why: 'a path stays locked for hours that nobody is shown to hold',
    },
  ]),
  ...mutantsOf({ file: `${LOCKS}/lock-resuming.ts`, rule: 'L2.11', scenario: 'lock-of-the-dead' }, [
    {
      name: 'locks-of-the-dead',
      from: ' || hasEnded(first.record.instance)',
      to: '',
      why: 'what a session held that ended with its node stays locked until its time is up',
    },
    {
      name: 'locks-beyond-their-time',
      from: 'untilMs <= clock.wallMs() || hasEnded',
      to: 'hasEnded',
      why: 'a lock goes on that nobody waits for',
    },
    {
      name: 'over-and-in-the-way',
      from: '    leases.discard(certificate)\n',
      to: '',
      why: 'what is over stays locked at the voters until its lease ends',
    },
  ]),
]
