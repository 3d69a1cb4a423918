import type { Project } from '../../../crdt/project.ts'

/** English text and code come to about this much per token, whichever model counts. */
const CHARS_PER_TOKEN = 4

/** About how many tokens the texts take that agents are given of a project. */
export async function estimateBriefTokens(project: Project): Promise<number> {
  const { summary, architecture, conventions, currentFocus, recentChanges } = project
  const chars = [summary, architecture, conventions, currentFocus, recentChanges].join('').length
  return Math.ceil(chars / CHARS_PER_TOKEN)
}
