import { TaskInput, type Task } from '../../crdt/task.ts'
import type { TaskId } from '../../crdt/ids.ts'
import type { ClaimProof } from '../../node/services/tasks/task-service.ts'
import { ClaimLab, codeOf, passing, PROJECT, valueOf, type LabNode } from './claim-lab.ts'
import { settle } from './clock.ts'

/** What agents ask of the task services of a lab; answers have arrived everywhere. */
export class TaskCalls {
  readonly lab: ClaimLab

  private constructor(lab: ClaimLab) {
    this.lab = lab
  }

  /** The first node votes alone. The lab is gone when `run` is over. */
  static async in(nodes: number, run: (calls: TaskCalls, nodes: LabNode[]) => Promise<void>): Promise<void> {
    const lab = await ClaimLab.create({ nodes, voters: 1 })
    try {
      await run(new TaskCalls(lab), lab.nodes)
    } finally {
      await lab.close()
    }
  }

  async create(node: LabNode, title = 'x'): Promise<Task> {
    const asked = node.tasks.create(node.actor('maker'), PROJECT, TaskInput.parse({ title }))
    return valueOf(await this.#over(asked))
  }

  /** Throws when it is refused. */
  async claim(node: LabNode, { id }: { id: TaskId }, instance: string, token = instance): Promise<Task> {
    return valueOf(await this.#over(node.tasks.claim(node.actor(token), id, instance)))
  }

  async tryClaim(node: LabNode, { id }: { id: TaskId }, instance: string, token = instance): Promise<string> {
    return codeOf(await this.#over(node.tasks.claim(node.actor(token), id, instance)))
  }

  async complete(node: LabNode, { id }: { id: TaskId }, token: string, files: string[] = []): Promise<string> {
    const input = { summary: 'done', filesModified: files }
    return codeOf(await this.#over(node.tasks.complete(node.actor(token), id, input)))
  }

  async release(node: LabNode, { id }: { id: TaskId }, token: string, proof: ClaimProof = {}): Promise<string> {
    const input = { reason: 'over', ...proof }
    return codeOf(await this.#over(node.tasks.release(node.actor(token), id, input)))
  }

  async #over<T>(asked: Promise<T>): Promise<T> {
    const answer = await passing(this.lab, asked)
    await settle()
    return answer
  }
}

export const shownOf = async (node: LabNode, { id }: { id: TaskId }): Promise<Task> => valueOf(await node.tasks.get(id))
