import { mutantsOf, type Cut } from '../mutant.ts'

const TASKS = 'node/services/tasks'
const ENTRY = 'crdt/task-entry.ts'
const AT_ONCE = '((_key: string, run: () => Promise<any>) => run())('

/** Guards of what is read of claims, of who may claim, and of what goes on after a restart. */
export const taskRecordMutants: readonly Cut[] = [
  ...mutantsOf({ file: ENTRY, rule: 'L2.6', scenario: 'task-records' }, [
    {
      name: 'older-claims-come-back',
      rule: 'M13',
      from: 'record !== undefined && record.token >= (records.get(record.task)?.token ?? 0)',
      to: 'record !== undefined',
      why: 'a member shows a claim of before in the place of the one that followed',
    },
    {
      name: 'claims-taken-on-trust',
      rule: 'L2.10',
      from: "(record.state === 'released' || this.#rules.verify(author, record))",
      to: "(record.state === 'released' || author !== undefined)",
      why: 'a member shows claims that nobody granted, and hides tasks from all others',
    },
    {
      name: 'claims-checked-with-every-look',
      rule: 'L2.10',
      from: "    if (known !== undefined) return known === 'invalid' ? undefined : known\n",
      to: '',
      why: 'every change of a project costs as many signatures as it has claims',
    },
    {
      name: 'claims-refused-for-good',
      rule: 'L2.10',
      from: '    this.#parsed = new WeakMap()\n',
      to: '',
      why: 'a claim stays hidden whose voters were not known when it was first read',
    },
    {
      name: 'any-claim-stands',
      from: "record.state === 'claimed' && record.token > (standing?.record.token ?? -1)",
      to: "record.state === 'claimed'",
      why: 'replicas show one of two claims each, by the order in which they came',
    },
    {
      name: 'ends-count-for-nothing',
      from: "if (end.state === 'released') ends.push({ node, end })",
      to: 'void end',
      why: 'a claim that was given back by another node of its holder is shown for ever',
    },
    {
      name: 'ends-count-for-all',
      from: '(end.token >= claim.token && proofs',
      to: '(proofs',
      why: 'a task that was ever given back cannot be claimed',
    },
    {
      name: 'completions-end-nothing',
      from: '  for (const [node, end] of completions ?? []) ends.push({ node, end })\n',
      to: '',
      why: 'a task that was completed is shown as claimed',
    },
    {
      name: 'any-completion-counts',
      from: '    if (completion.token > (best?.token ?? -1)) best = completion\n',
      to: '    best = completion\n',
      why: 'replicas show one of two completions each, by the order in which they came',
    },
    {
      name: 'written-by-anybody',
      rule: 'M13',
      from: 'this.#rules.isWriter(author, client) ? ClaimRecord',
      to: 'author !== undefined ? ClaimRecord',
      why: 'a member ends claims in the name of their holders, or makes them its own',
    },
    {
      name: 'ends-taken-on-trust',
      from: '(end.token >= claim.token && proofs.isProven(node, entry.id, end))',
      to: 'end.token >= claim.token',
      why: 'a member ends the claims of others with a token that nobody granted',
    },
    {
      name: 'ends-without-a-proof',
      from: '    if (!certificate) return false\n',
      to: '    if (!certificate) return true\n',
      why: 'a member ends the claims of others with a token that nobody granted',
    },
    {
      name: 'own-ends-need-a-proof',
      from: '      (node === holder && end.lease === claim.lease) ||\n',
      to: '',
      why: 'a claim that its holder has ended stands where its record comes again',
    },
    {
      name: 'ends-by-whoever-knows-the-lease',
      from: '(node === holder && end.lease === claim.lease)',
      to: 'end.lease === claim.lease',
      why: 'a member ends the claims of others by the names of their leases, which everybody can read',
    },
    {
      name: 'ends-checked-with-every-look',
      rule: 'L2.10',
      from: 'this.#proven.get(end) ?? this.#rules.verify',
      to: 'this.#rules.verify',
      why: 'each look at a task costs the signatures of its ends',
    },
    {
      name: 'ends-unproven-for-good',
      rule: 'L2.10',
      from: '    this.#proven = new WeakMap()\n',
      to: '',
      why: 'an end does not count whose voters were not known when it was first read',
    },
    {
      name: 'all-ends-checked',
      rule: 'L2.10',
      from: 'all.length > 1 ? all',
      to: 'all.length > 0 ? all',
      why: 'a board of 100,000 completed tasks verifies as many certificates before it is shown',
    },
    {
      name: 'unproven-completion-goes-first',
      from: 'proven.length > 0 ? proven : all',
      to: 'all',
      why: 'a member shows its own words as the result of a task that another has completed',
    },
  ]),
  ...mutantsOf({ file: 'crdt/task-document.ts', rule: 'D9', scenario: 'task-records' }, [
    {
      name: 'released-claims-kept',
      from: "return head.state === 'released' && released-- >= RELEASED_KEPT_MAX",
      to: 'return released < 0 * RELEASED_KEPT_MAX',
      why: 'a project grows with every task that was ever given back',
    },
    {
      name: 'claims-make-room',
      from: "return head.state === 'released' && released-- >= RELEASED_KEPT_MAX",
      to: 'return released-- >= RELEASED_KEPT_MAX',
      why: 'a node takes its own claims off the board',
    },
    {
      name: 'claims-beside-their-ends',
      from: 'if (head === undefined || head.task === task) return true',
      to: 'if (head === undefined) return true',
      why: 'a project grows with every claim that ever was',
    },
  ]),
  ...mutantsOf({ file: `${TASKS}/task-resuming.ts`, rule: 'L2.11', scenario: 'tasks-resumed' }, [
    {
      name: 'claims-of-others-resumed',
      from: 'claim.node === deps.self && !deps',
      to: '!deps',
      why: 'a node asks the voters for everything that others hold',
    },
    {
      name: 'fresh-claims-resumed',
      from: ' && !deps.leases.find(claim.record.lease)',
      to: '',
      why: 'a lease of this process is asked for twice, and lost when one of the two gives up',
    },
    {
      name: 'unproven-claims-resumed',
      from: 'if (!certificate || !project.ok) return await end(RESTARTED)',
      to: 'if (!project.ok) return await end(RESTARTED)',
      why: 'a claim whose certificate cannot be read stops all others from going on',
    },
    {
      name: 'claims-beyond-their-time',
      from: 'if (isOver || deps.hasEnded(instance)) {',
      to: 'if (deps.hasEnded(instance)) {',
      why: 'a claim whose time is up goes on',
    },
    {
      name: 'claims-of-the-dead',
      from: 'if (isOver || deps.hasEnded(instance)) {',
      to: 'if (isOver) {',
      why: 'the task of a session that ended with its node is nobody’s until its time is up',
    },
    {
      name: 'claims-over-and-in-the-way',
      from: '    deps.leases.discard(certificate)\n',
      to: '',
      why: 'what is over stays claimed at the voters until its lease ends',
    },
    {
      name: 'claims-lost-by-stopping',
      from: 'else if (!deps.resuming.isStopped) await end',
      to: 'else await end',
      why: 'a node that is stopped before its voters have answered gives its tasks back',
    },
    {
      name: 'lost-claims-stay',
      from: 'else if (!deps.resuming.isStopped) await end(RESTARTED)',
      to: 'else void RESTARTED',
      why: 'a task that nobody holds is shown as claimed',
    },
    {
      name: 'claims-shown-at-the-next-look',
      from: '    deps.boards.lookAgain()\n',
      to: '',
      why: 'a claim that goes on after a restart is hidden for some seconds',
    },
  ]),
  ...mutantsOf({ file: `${TASKS}/task-claiming.ts`, rule: 'L2.8', scenario: 'one-lease-for-two-calls' }, [
    {
      name: 'claims-at-the-same-time',
      rule: 'I1',
      from: 'deps.turns(wanted.id, async',
      to: `${AT_ONCE}wanted.id, async`,
      why: 'two calls with one instance and token are each given a lease: one of them is never given back',
    },
    {
      name: 'voters-asked-what-is-known',
      from: 'if (task.claim && isSure(deps, task.claim)) {',
      to: 'if (task.claim && !isSure) {',
      why: 'everybody who looks for work asks the voters about every task that is taken',
    },
    {
      name: 'one-name-for-two-tokens',
      from: 'if (!isNameTaken) return whyNotOpen(task)',
      to: 'if (task) return whyNotOpen(task)',
      why: 'agents are told apart by names that others take',
    },
    {
      name: 'last-words-do-not-count',
      rule: 'L2.6',
      from: '  if (closed) return err(closed)\n',
      to: '',
      why: 'a task is claimed that was completed or blocked while its lease was asked for',
    },
  ]),
  ...mutantsOf({ file: 'node/services/locks/lock-taking.ts', rule: 'I1', scenario: 'one-lease-for-two-calls' }, [
    {
      name: 'locks-at-the-same-time',
      from: 'deps.turns(target.key, async',
      to: `${AT_ONCE}target.key, async`,
      why: 'two calls with one instance and token are each given a lease: one of them is never given back',
    },
  ]),
  ...mutantsOf({ file: `${TASKS}/task-composition.ts`, rule: 'L2.5', scenario: 'one-lease-for-two-calls' }, [
    {
      name: 'deleted-task-keeps-its-lease',
      from: "if (event.type === 'task.deleted') own",
      to: "if (event.type === 'task.deleted' && !own) own",
      why: 'a node renews a lease that nobody can give back, until its time is up',
    },
    {
      name: 'deleted-task-frees-all',
      from: "r.kind === 'task' && r.key === key",
      to: "r.kind === 'task' && r.key !== ''",
      why: 'whoever deletes one task takes all others from their holders',
    },
    {
      name: 'deleted-task-frees-a-path',
      from: "r.kind === 'task' && r.key === key",
      to: 'r.key === key',
      why: 'whoever deletes a task takes the lock on a path of its name away',
    },
  ]),
  ...mutantsOf({ file: `${TASKS}/task-claiming.ts`, rule: 'L2.11', scenario: 'task-not-known-yet' }, [
    {
      name: 'claimed-before-it-is-known',
      from: '      await deps.resuming.known()\n      return await withTask',
      to: '      return await withTask',
      why: 'a claim that is about to go on is replaced by another, and everybody is told',
    },
  ]),
  ...mutantsOf({ file: `${TASKS}/task-ending.ts`, rule: 'L2.11', scenario: 'task-not-known-yet' }, [
    {
      name: 'ended-for-another-before-it-is-known',
      from: '  await deps.resuming.known()\n  return await withTask(deps, ending.id, (found)',
      to: '  return await withTask(deps, ending.id, (found)',
      why: 'what is done through another gateway in the first moments after a restart is lost',
    },
  ]),
]
