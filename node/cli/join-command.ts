import { callPatiently, type CommonOptions } from './command.ts'
import { NodeNotRunningError } from './control-client.ts'
import { failureOf } from './exit.ts'

export type JoinedHere = { readonly mesh_id: string; readonly peer_id: string; readonly running: boolean }

/** Joins the mesh of a ticket, through the node of the data directory where it runs. @throws CommandFailure */
export async function joinFromCommand(options: CommonOptions & { name?: string }, ticket: string): Promise<JoinedHere> {
  try {
    const result = await callPatiently(options, 'mesh.join', { ticket, name: options.name })
    if (!result.ok) throw failureOf(result.error)
    return { ...(result.value as { mesh_id: string; peer_id: string }), running: true }
  } catch (error) {
    if (!(error instanceof NodeNotRunningError)) throw error
    const { joinStopped } = await import('./join-stopped.ts')
    const result = await joinStopped(options.dataDir, ticket, options.name)
    if (!result.ok) throw failureOf(result.error)
    return { ...result.value, running: false }
  }
}

/** Whether the node of the data directory could join a mesh: nothing would be lost by it. */
export async function mayJoinFromCommand(options: CommonOptions): Promise<boolean> {
  try {
    const result = await callPatiently(options, 'mesh.mayJoin', {})
    if (!result.ok) throw failureOf(result.error)
    return result.value === true
  } catch (error) {
    if (!(error instanceof NodeNotRunningError)) throw error
    const { mayJoinStopped } = await import('./join-stopped.ts')
    return await mayJoinStopped(options.dataDir)
  }
}
