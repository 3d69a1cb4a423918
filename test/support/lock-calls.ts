import type { DomainErrorCode } from '../../crdt/errors.ts'
import type { FileLock, LockNotice } from '../../crdt/lock.ts'
import type { LockInput } from '../../node/services/locks/lock-service.ts'
import { ClaimLab, passing, PROJECT, valueOf, type LabNode } from './claim-lab.ts'
import { settle } from './clock.ts'

export type Answer = DomainErrorCode | 'ok'

/** What agents ask of the lock services of a lab, each with a token of its own; answers have arrived everywhere. */
export class LockCalls {
  readonly lab: ClaimLab
  readonly nodes: readonly LabNode[]

  private constructor(lab: ClaimLab) {
    this.lab = lab
    this.nodes = lab.nodes
  }

  /** In a mesh that has heard of itself; it is gone when `run` is over. */
  static async in(
    mesh: { nodes: number; voters: number },
    run: (calls: LockCalls, nodes: LabNode[]) => Promise<void>,
  ): Promise<void> {
    const lab = await ClaimLab.create(mesh)
    try {
      await lab.pass(5000)
      await run(new LockCalls(lab), lab.nodes)
    } finally {
      await lab.close()
    }
  }

  /** Throws when it is refused. */
  async lock(node: LabNode, path: string, instanceId: string, more: Partial<LockInput> = {}): Promise<FileLock> {
    const wish = { path, instanceId, ...more }
    const answer = await passing(this.lab, node.locks.acquire(actorOf(node, instanceId), PROJECT, wish))
    await settle()
    return valueOf(answer)
  }

  async tryLock(node: LabNode, path: string, instanceId: string, more: Partial<LockInput> = {}): Promise<Answer> {
    const wish = { path, instanceId, ...more }
    const answer = await passing(this.lab, node.locks.acquire(actorOf(node, instanceId), PROJECT, wish))
    await settle()
    return answer.ok ? 'ok' : answer.error.code
  }

  /** One lease over all. */
  async lockAll(node: LabNode, paths: readonly string[], instanceId: string): Promise<readonly FileLock[]> {
    const wish = { instanceId, paths, allOrNothing: true, durationMinutes: 60 }
    const answer = await passing(this.lab, node.locks.bulk(actorOf(node, instanceId), PROJECT, wish))
    await settle()
    return valueOf(answer).acquired
  }

  async release(node: LabNode, path: string, instanceId: string): Promise<Answer> {
    const asked = node.locks.release(actorOf(node, instanceId), PROJECT, { path, instanceId })
    const answer = await passing(this.lab, asked)
    await settle()
    return answer.ok ? 'ok' : answer.error.code
  }

  /** Where nobody can be reached who says what it holds, the process of this node starts again. */
  async restart(n: number, ms = 5000): Promise<LabNode> {
    const node = await this.lab.restart(n)
    await this.lab.pass(ms)
    return node
  }
}

export const actorOf = (node: LabNode, instanceId: string) => node.actor(`token of ${instanceId}`)
export const locksOf = async (node: LabNode): Promise<readonly FileLock[]> => valueOf(await node.locks.list(PROJECT))
export const pathsOf = async (node: LabNode): Promise<string> => (await locksOf(node)).map(({ path }) => path).join()
export const noticesOf = async (node: LabNode): Promise<readonly LockNotice[]> =>
  valueOf(await node.locks.notices(PROJECT))
