import { createGptTokenCounter } from '../adapters/gpt-tokens.ts'
import { createActivityService } from '../services/activity/activity-service.ts'
import { createBroadcastService } from '../services/activity/broadcast-service.ts'
import { createBriefTokens } from '../services/projects/brief-tokens.ts'
import { createProjectOverview } from '../services/projects/project-overview.ts'
import type { PendingCompletions } from '../services/context/pending-completions.ts'
import type { Projects } from '../services/projects/project-service.ts'
import type { Rpc } from '../services/rpc/rpc.ts'
import type { Services } from '../services/services.ts'
import type { MachineProbe } from '../ports/machine-probe.ts'
import { openContext } from './context-means.ts'
import type { Cleanup, MeshCore, MeshNodeDeps } from './mesh-core.ts'

type Around = Pick<Services, 'tasks' | 'locks' | 'sessions' | 'events'> & {
  readonly projects: Projects
  readonly rpc: Rpc
  readonly probe: MachineProbe
  readonly completions: PendingCompletions
}

/** What people want to know, and say, of a project. */
export async function openInsight(
  node: MeshNodeDeps,
  core: MeshCore,
  deps: Around,
  cleanup: Cleanup,
): Promise<Pick<Services, 'activity' | 'overview' | 'broadcasts' | 'context'>> {
  const { means, self, membership, presence, nameOf } = core
  const activity = createActivityService({ ...means, ...deps })
  cleanup.push(() => activity.stop())
  const tokens = createGptTokenCounter()
  const context = await openContext(node, core, { ...deps, tokens })
  cleanup.push(() => context.stop())
  core.problems.push(() => context.problem())
  return {
    activity,
    context,
    overview: createProjectOverview({ ...deps, activity, tokensOf: createBriefTokens(tokens) }),
    broadcasts: createBroadcastService({
      ...means,
      ...deps,
      self,
      members: () => membership.current().members.keys(),
      presence,
      nameOf,
      keep: context.keepBroadcast,
    }),
  }
}
