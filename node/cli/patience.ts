import { setTimeout as delay } from 'node:timers/promises'
import { nodeState } from './control-client.ts'
import type { ControlMethodName } from './control-methods.ts'
import { CommandFailure, EXIT } from './exit.ts'
import { say } from './say.ts'

export type Patience = {
  /** An answer that takes longer makes the command ask whether the node answers anything at all, again and again. */
  readonly askAfterMs: number
  /** A node under load answers that in milliseconds, on a very slow machine in a second or two. */
  readonly answerMs: number
}

const PATIENCE: Patience = { askAfterMs: 5000, answerMs: 5000 }

/** What only looks at a node: nothing is lost by giving it up. */
const LOOKS: ReadonlySet<ControlMethodName> = new Set<ControlMethodName>([
  'command.list',
  'lock.list',
  'machine.list',
  'mcp.list',
  'mesh.peers',
  'mesh.status',
  'node.config',
  'node.health',
  'node.metrics',
  'pairing.list',
  'project.list',
  'recovery.status',
  'restored.view',
  'session.get',
  'session.list',
  'skill.list',
  'storage.budget',
  'storage.view',
  'task.list',
  'user.list',
  'voters.view',
])

export const isLook = (method: ControlMethodName): boolean => LOOKS.has(method)

/**
 * Waits for what a node is asked, however long that takes. Once the node answers nothing at all any more, standard error
 * says so; `givesUp` ends the waiting then.
 * @throws CommandFailure `node_silent`, and whatever `work` throws
 */
export async function patiently<T>(
  socketPath: string,
  work: (signal: AbortSignal) => Promise<T>,
  { givesUp, patience = PATIENCE }: { givesUp: boolean; patience?: Patience },
): Promise<T> {
  const answered = new AbortController()
  const givenUp = new AbortController()
  void untilSilent(socketPath, patience, answered.signal).then((isSilent) => {
    if (!isSilent) return
    if (givesUp) givenUp.abort(new CommandFailure(`${SILENT} ${SILENT_REMEDY}`, EXIT.refused, { code: 'node_silent' }))
    else say(`rookery: ${SILENT} Still waiting; Ctrl-C gives up. ${SILENT_REMEDY}`)
  })
  try {
    return await work(givenUp.signal)
  } catch (error) {
    givenUp.signal.throwIfAborted()
    throw error
  } finally {
    answered.abort()
  }
}

const SILENT = 'The node runs, but does not answer: it is very busy, or its process hangs or is stopped.'
/** What to do about a node that does not answer. */
export const SILENT_REMEDY =
  'Look at the machine (`top`: CPU, memory, disk). If it does not come back, end the process and start it again; sessions go on.'

/** False once `signal` is aborted. */
async function untilSilent(
  socketPath: string,
  { askAfterMs, answerMs }: Patience,
  signal: AbortSignal,
): Promise<boolean> {
  try {
    for (;;) {
      await delay(askAfterMs, undefined, { signal, ref: false })
      const state = await nodeState(socketPath, AbortSignal.any([signal, AbortSignal.timeout(answerMs)]))
      if (state === 'silent') return !signal.aborted
    }
  } catch {
    return false // it was answered
  }
}
