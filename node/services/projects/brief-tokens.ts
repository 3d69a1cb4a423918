import type { Project } from '../../../crdt/project.ts'
import type { TokenCounter } from '../../ports/token-counter.ts'
import { briefOf, joinSections } from '../context/compiling.ts'

/**
 * How many tokens the brief of a project takes, as agents are given it; an estimate, since each model counts in its own
 * way. Nothing is counted, and no table of tokens loaded, for a project without a brief.
 */
export function createBriefTokens(tokens: TokenCounter): (project: Project) => Promise<number> {
  return async (project) => {
    const sections = briefOf(project)
    return sections.length === 0 ? 0 : await tokens.count(joinSections(sections))
  }
}
