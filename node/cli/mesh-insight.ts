import { createActivityService } from '../services/activity/activity-service.ts'
import { createBroadcastService } from '../services/activity/broadcast-service.ts'
import { estimateBriefTokens } from '../services/projects/brief-tokens.ts'
import { createProjectOverview } from '../services/projects/project-overview.ts'
import type { Rpc } from '../services/rpc/rpc.ts'
import type { Services } from '../services/services.ts'
import type { Cleanup, MeshCore } from './mesh-core.ts'

/** What people want to know, and say, of a project. */
export function openInsight(
  core: MeshCore,
  deps: Pick<Services, 'projects' | 'tasks' | 'locks' | 'sessions' | 'events'> & { readonly rpc: Rpc },
  cleanup: Cleanup,
): Pick<Services, 'activity' | 'overview' | 'broadcasts'> {
  const { means, self, membership, presence, nameOf } = core
  const activity = createActivityService({ ...means, ...deps })
  cleanup.push(() => activity.stop())
  return {
    activity,
    overview: createProjectOverview({ ...deps, activity, tokensOf: estimateBriefTokens }),
    broadcasts: createBroadcastService({
      ...means,
      ...deps,
      self,
      members: () => membership.current().members.keys(),
      presence,
      nameOf,
    }),
  }
}
