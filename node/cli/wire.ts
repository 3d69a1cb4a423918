import type { Project } from '../../crdt/project.ts'

/** What `--json` prints of tasks, locks and sessions is what the API answers: one shape to write scripts against. */
export { wireCommand, wireExecution, wireListed } from '../../gateway/dialects/claudenest/wire-commands.ts'
export { wireLock, wireLog, wireSession, wireTask } from '../../gateway/dialects/claudenest/wire.ts'
export { wireAnswer, wireChunk, wireContext } from '../../gateway/dialects/claudenest/wire-context.ts'
export { wireResult, wireServer, wireServerTool, wireTool } from '../../gateway/dialects/claudenest/wire-mcp.ts'
export { wireBulk, wireFullSkill, wireSkill } from '../../gateway/dialects/claudenest/wire-skills.ts'
export { wireNotice } from '../../gateway/dialects/rookery/notices.ts'

/** A project under the API's field names, less the figures that only a gateway counts. */
export const wireProject = (project: Project): object => ({
  id: project.id,
  name: project.name,
  paths: project.paths,
  summary: project.summary,
  architecture: project.architecture,
  conventions: project.conventions,
  current_focus: project.currentFocus,
  recent_changes: project.recentChanges,
  settings: project.settings,
  repository: project.repository && {
    root_commit: project.repository.rootCommit,
    remote: project.repository.remote,
  },
  created_at: project.createdAt,
})
