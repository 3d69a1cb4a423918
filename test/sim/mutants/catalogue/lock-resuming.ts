import { mutantsOf, type Cut } from '../mutant.ts'

const LOCKS = 'node/services/locks'
const RESUMING = `${LOCKS}/lock-resuming.ts`
const KEEPING = `${LOCKS}/lock-keeping.ts`

/** Guards of what a process does about the locks of the one before. */
export const lockResumingMutants: readonly Cut[] = [
  ...mutantsOf({ file: RESUMING, rule: 'L2.11', scenario: 'resumed-locks' }, [
    {
      name: 'resumed-and-kept',
      from: '    deps.kept.settle(locks)\n    const put',
      to: '    const put',
      why: 'what was resumed and given back comes back with the next start',
    },
    {
      name: 'resumed-without-a-disk',
      rule: 'D7',
      from: '    if (put.ok) return deps.boards.lookAgain()',
      to: '    return deps.boards.lookAgain()',
      why: 'a lease is held whose lock nobody sees',
    },
    {
      name: 'lease-of-what-was-not-written',
      rule: 'D7',
      from: '  await leases.release(lease)\n',
      to: '',
      why: 'a lease that no lock belongs to blocks others',
    },
    {
      name: 'shown-at-the-next-look',
      from: 'if (put.ok) return deps.boards.lookAgain()',
      to: 'if (put.ok) return',
      why: 'a lock that goes on is not shown',
    },
    {
      name: 'resumed-for-ever',
      from: 'Math.max(...locks.map(({ record }) => Date.parse(record.expiresAt)))',
      to: 'Number.MAX_SAFE_INTEGER',
      why: 'a lock outlives its time, and its agent',
    },
  ]),
  ...mutantsOf({ file: RESUMING, rule: 'L2.11', scenario: 'stopped-while-resuming' }, [
    {
      name: 'lost-by-stopping',
      from: '  if (deps.resuming.isStopped) return\n',
      to: '',
      why: 'a lock is told to be lost because its node stopped',
    },
    {
      name: 'announced-after-the-end',
      from: 'if (!deps.resuming.isStopped) await',
      to: 'await',
      why: 'a node that has stopped says what it holds',
    },
  ]),
  ...mutantsOf({ file: `${LOCKS}/lock-composition.ts`, rule: 'L2.11', scenario: 'stopped-while-resuming' }, [
    {
      name: 'resuming-never-stops',
      from: '      deps.resuming.stop()\n',
      to: '',
      why: 'a lock is told to be lost because its node stopped',
    },
  ]),
  ...mutantsOf({ file: RESUMING, rule: 'P5', scenario: 'lost-locks' }, [
    {
      name: 'lost-in-silence',
      from: "fate === 'over' || (await isLossTold(deps, locks))",
      to: "fate !== 'resumed' || (await isLossTold(deps, locks))",
      why: 'an agent goes on with a lock that another has',
    },
    {
      name: 'unproven-in-silence',
      from: "  if (!certificate) return 'lost'",
      to: "  if (!certificate) return 'over'",
      why: 'an agent goes on with a lock that nothing proves',
    },
    {
      name: 'lost-and-kept',
      from: '(await isLossTold(deps, locks))) deps.kept.settle(locks)',
      to: '(await isLossTold(deps, locks))) return',
      why: 'what was read comes back with every start',
    },
    {
      name: 'notice-of-the-lease',
      from: 'claim: claim ?? lease',
      to: 'claim: lease',
      why: 'a loss is told of something that its holder does not know',
    },
    {
      name: 'notice-of-too-much',
      from: 'locks.slice(0, NOTICE_PATHS_MAX).map',
      to: 'locks.map',
      why: 'the loss of many paths is told to nobody',
    },
  ]),
  ...mutantsOf({ file: RESUMING, rule: 'P5', scenario: 'loss-not-written' }, [
    {
      name: 'forgotten-before-it-is-told',
      from: "if (fate === 'over' || (await isLossTold(deps, locks))) deps.kept.settle(locks)",
      to: "deps.kept.settle(locks)\n  if (fate !== 'over') await isLossTold(deps, locks)",
      why: 'a loss that the disk refused is never told',
    },
    {
      name: 'refused-notice-counts',
      from: '  return told.ok\n',
      to: '  return true\n',
      why: 'a loss that the disk refused is never told',
    },
  ]),
  ...mutantsOf({ file: KEEPING, rule: 'P5', scenario: 'loss-not-written' }, [
    {
      name: 'kept-until-the-next-write',
      from: 'for (const lock of bytes ? decoded(bytes, log) : []) unsettled.add(lock)\n      saved = [...unsettled]',
      to: 'saved = bytes ? decoded(bytes, log) : []',
      why: 'the first lock of a process wipes out those of the one before',
    },
  ]),
]
