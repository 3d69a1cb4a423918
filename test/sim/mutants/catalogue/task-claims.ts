import { mutantsOf, type Cut } from '../mutant.ts'

const TASKS = 'node/services/tasks'
const CLAIMING = `${TASKS}/task-claiming.ts`
const ENDING = `${TASKS}/task-ending.ts`

/** Guards of task claims: what is written under a lease, when, and by whom. */
export const taskClaimMutants: readonly Cut[] = [
  ...mutantsOf({ file: ENDING, rule: 'L2.6', scenario: 'task-late-write' }, [
    {
      name: 'written-under-a-lost-lease',
      from: '    if (isOvertaken()) return false\n',
      to: '',
      why: 'the end of a claim is written by whoever does not hold it any more',
    },
    {
      name: 'lost-release-is-told-to-count',
      from: "  if (!isWritten) return err(domainError('superseded'))\n",
      to: '',
      why: 'what was lost is said to be given back',
    },
    {
      name: 'late-completion-is-told-to-count',
      from: "ending.kind === 'complete' && task.status !== 'completed'",
      to: 'false',
      why: 'whoever was overtaken believes that its work counts',
    },
    {
      name: 'withdraws-the-claim-of-another',
      rule: 'L2.11',
      scenario: 'tasks-resumed',
      from: 'standing?.node !== deps.self || standing.record.lease !== leaseId',
      to: 'standing === undefined',
      why: 'a node whose lease has lapsed ends the claim of its successor',
    },
    {
      name: 'token-of-the-epoch-before',
      rule: 'L2.7',
      from: 'if (!held || held.fencingToken <= record.token) return record',
      to: 'if (record) return record',
      why: 'a completion loses against claims of before the change of voters',
    },
  ]),
  ...mutantsOf({ file: ENDING, rule: 'L2.6', scenario: 'task-unsure' }, [
    {
      name: 'given-back-and-held-again',
      from: 'if (board.standing(id)?.record.lease !== standing.record.lease) return\n  await',
      to: 'if (board !== undefined) return\n  await',
      why: 'what was given back while its voters were away is held again when they return',
    },
  ]),
  ...mutantsOf({ file: 'crdt/task-board.ts', rule: 'L2.6', scenario: 'task-late-write' }, [
    {
      name: 'completion-hides-the-next-claim',
      from: 'claim ? undefined : bestCompletion(entry, this.#reader)',
      to: 'bestCompletion(entry, this.#reader)',
      why: 'a late completion is shown although another works on the task',
    },
  ]),
  ...mutantsOf({ file: CLAIMING, rule: 'I1', scenario: 'task-late-claim' }, [
    {
      name: 'late-claim-is-told-to-count',
      from: "  if (task.claim?.leaseId !== leaseId) return err(domainError('superseded'))\n",
      to: '',
      why: 'two are told that they hold one task',
    },
    {
      name: 'claims-under-a-lost-lease',
      from: 'if (!isOvertaken()) putClaim',
      to: 'if (isOvertaken) putClaim',
      why: 'others are shown a holder whose lease is over',
    },
    {
      name: 'lease-of-a-claim-that-is-none',
      rule: 'L2.5',
      from: 'if (!result?.ok) await deps.leases.release(lease.value.leaseId)',
      to: 'void result',
      why: 'a lease that no claim belongs to blocks others',
    },
  ]),
  ...mutantsOf({ file: 'node/services/claims/claim-owner.ts', rule: 'I1', scenario: 'task-owners' }, [
    {
      name: 'instances-of-a-token-are-one',
      from: 'encodeCanonical([tokenId, instanceId])',
      to: 'encodeCanonical([tokenId])',
      why: 'two agents of one user hold the same at once',
    },
    {
      name: 'tokens-of-an-instance-are-one',
      from: 'encodeCanonical([tokenId, instanceId])',
      to: 'encodeCanonical([instanceId])',
      why: 'whoever calls itself like the holder has what it holds',
    },
  ]),
  ...mutantsOf({ file: CLAIMING, rule: 'I1', scenario: 'task-owners' }, [
    {
      name: 'any-instance-of-the-token',
      from: 'claim.instanceId === instance && ',
      to: '',
      why: 'an instance is told to have what another works on',
    },
  ]),
  ...mutantsOf({ file: CLAIMING, rule: 'L2.5', scenario: 'task-lapsed' }, [
    {
      name: 'lapsed-claim-is-held',
      from: ' && isSure(deps, mine)',
      to: '',
      why: 'a claim is told to stand whose lease is over',
    },
    {
      name: 'lapsed-lease-is-kept',
      from: '    if (result.ok && left?.node === deps.self) await deps.leases.release(left.record.lease)\n',
      to: '',
      why: 'a lease that has lapsed blocks others',
    },
    {
      name: 'lapsed-claim-in-the-way',
      from: 'task.claim && isSure(deps, task.claim)',
      to: 'task.claim',
      why: 'nobody takes over what nobody holds',
    },
  ]),
  ...mutantsOf({ file: ENDING, rule: 'L2.6', scenario: 'task-ends' }, [
    {
      name: 'completion-too-large',
      rule: 'M10',
      from: "    if (ending.kind === 'complete' && summaryBytes(ending) > TASK_BYTES_MAX) return err(domainError('too_large'))\n",
      to: '',
      why: 'a write that no envelope carries takes the document of the project with it',
    },
    {
      name: 'ends-the-claim-of-another-node',
      from: 'standing?.node === deps.self ? refuse(actor, ending, standing)',
      to: 'standing ? refuse(actor, ending, standing)',
      why: 'a node ends under its own name what it does not hold',
    },
    {
      name: 'answers-before-it-can-be-read',
      rule: 'A-C1',
      from: '  await reachedWithin(deps, reply.value.position)\n',
      to: '',
      why: 'whoever reads where it wrote does not find what it wrote',
    },
    {
      name: 'ends-at-the-same-time',
      from: '  deps.turns(id, async () => {\n    const standing = board.standing(id)\n    const refused',
      to: '  ((_: string, run: () => Promise<Result<Ended>>) => run())(id, async () => {\n    const standing = board.standing(id)\n    const refused',
      why: 'a task is completed twice',
    },
    {
      name: 'strangers-are-forwarded',
      from: 'return refused ? err(refused) : await forward',
      to: 'return refused && false ? err(refused) : await forward',
      why: 'whoever may not end a claim learns where it is held',
    },
    {
      name: 'silent-claims-are-waited-for',
      rule: 'L2.10',
      from: ' && found.task.claim !== null',
      to: '',
      why: 'whoever holds nothing any more is told to wait for its node',
    },
  ]),
  ...mutantsOf({ file: CLAIMING, rule: 'L2.8', scenario: 'task-next' }, [
    {
      name: 'next-without-end',
      from: 'tried.size < CLAIM_NEXT_TRIES_MAX',
      to: 'tried.size < 9999',
      why: 'one call asks the voters for every task there is',
    },
    {
      name: 'next-without-quorum',
      from: 'result.ok || !TRY_THE_NEXT.has(result.error.code)',
      to: 'result.ok',
      why: 'a node that reaches nobody asks for every task, 3 s each',
    },
  ]),
  ...mutantsOf({ file: CLAIMING, rule: 'L2.11', scenario: 'task-resuming' }, [
    {
      name: 'next-before-it-is-known',
      from: '      await deps.resuming.known()\n      const project',
      to: '      const project',
      why: 'an instance is given its own task once more',
    },
  ]),
  ...mutantsOf({ file: ENDING, rule: 'L2.11', scenario: 'task-resuming' }, [
    {
      name: 'ended-before-it-is-known',
      from: '  await deps.resuming.known()\n  return await withTask(deps, ending.id, async (found)',
      to: '  return await withTask(deps, ending.id, async (found)',
      why: 'whoever ends its claim in the first moments is told to have lost it',
    },
  ]),
]
