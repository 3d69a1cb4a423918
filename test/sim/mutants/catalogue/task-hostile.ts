import { mutantsOf, type Cut } from '../mutant.ts'

const TASKS = 'node/services/tasks'

/** Guards against members that write what is not theirs to say. */
export const taskHostileMutants: readonly Cut[] = [
  ...mutantsOf({ file: `${TASKS}/task-boards.ts`, rule: 'M13', scenario: 'task-forged' }, [
    {
      name: 'records-of-any-author',
      from: 'documents.authorOf(projectDoc(projectId), client) === node',
      to: 'documents !== undefined && client >= 0 && node !== undefined',
      why: 'a member writes claims and ends in the name of others',
    },
  ]),
  ...mutantsOf({ file: 'crdt/task-entry.ts', rule: 'M13', scenario: 'task-forged' }, [
    {
      name: 'completions-of-any-author',
      from: 'isOwn ? Completion',
      to: 'written ? Completion',
      why: 'a member completes a task in the name of whoever holds it',
    },
  ]),
  ...mutantsOf({ file: `${TASKS}/task-boards.ts`, rule: 'L2.6', scenario: 'task-taken-out' }, [
    {
      name: 'taken-out-for-good',
      from: 'if (board && !local) this.#deps.onOthersWrite(board)',
      to: 'if (board && !local) return',
      why: 'a member ends the claims of others by taking them out of the project',
    },
  ]),
  ...mutantsOf({ file: `${TASKS}/task-upholding.ts`, rule: 'L2.6', scenario: 'task-taken-out' }, [
    {
      name: 'put-back-at-once',
      from: 'this.#deps.clock.after(PUT_BACK_AFTER_MS, putBack)',
      to: 'this.#deps.clock.after(0 * PUT_BACK_AFTER_MS, putBack)',
      why: 'a member that takes claims out has their holder write without end',
    },
    {
      name: 'put-back-without-a-lease',
      from: 'if (!leases.find(lease)) held.delete(lease)',
      to: 'if (!leases) held.delete(lease)',
      why: 'what was lost or given back stands on the board again',
    },
    {
      name: 'put-back-while-it-ends',
      from: 'await turns(record.task, () => this.#putBackOne(board, record))',
      to: 'await this.#putBackOne(board, record)',
      why: 'a claim comes back while its end is being written',
    },
  ]),
  ...mutantsOf({ file: `${TASKS}/task-claiming.ts`, rule: 'L2.6', scenario: 'task-taken-out' }, [
    {
      name: 'claimed-and-not-upheld',
      from: '  deps.upholding.hold(board.projectId, record)\n',
      to: '',
      why: 'a member ends the claims of others by taking them out of the project',
    },
  ]),
  ...mutantsOf({ file: `${TASKS}/task-resuming.ts`, rule: 'L2.11', scenario: 'task-taken-out' }, [
    {
      name: 'resumed-and-not-upheld',
      from: '    deps.upholding.hold(board.projectId, record)\n',
      to: '',
      why: 'a member ends claims from before a restart by taking them out of the project',
    },
  ]),
  ...mutantsOf({ file: `${TASKS}/task-ending.ts`, rule: 'L2.6', scenario: 'task-proofs' }, [
    {
      name: 'ends-prove-nothing',
      from: '...(board.hasOthers(deps.self, id) ? { certificate } : {})',
      to: '...(board.hasOthers(deps.self, id) ? {} : {})',
      why: 'a claim of before is shown again once the one that followed it has ended',
    },
    {
      name: 'ends-prove-always',
      rule: 'D9',
      from: '...(board.hasOthers(deps.self, id) ? { certificate } : {})',
      to: 'certificate',
      why: 'a project with 100,000 completed tasks holds as many certificates',
    },
    {
      name: 'ends-prove-another-token',
      rule: 'L2.7',
      from: 'certificate: certificateBytes(held.certificate)',
      to: 'certificate: record.certificate',
      why: 'after a change of voters an end proves nothing',
    },
  ]),
  ...mutantsOf({ file: 'crdt/task-board.ts', rule: 'D9', scenario: 'task-proofs' }, [
    {
      name: 'proofs-for-oneself',
      from: '.some((author) => author !== node)',
      to: '.some((author) => author !== undefined)',
      why: 'a project with 100,000 completed tasks holds as many certificates',
    },
  ]),
]
