import { ask } from './command.ts'
import { type Finding, good, warn } from './finding.ts'

/** Documents that have become too large, asked of the running node. */
export async function checkStorage(dataDir: string): Promise<Finding[]> {
  const problems = await ask<readonly string[]>({ dataDir }, 'storage.budget')
  return problems.length === 0
    ? [good('documents', 'none is larger than it should be')]
    : problems.map((problem) => warn('documents', problem, 'Delete tasks that are done, or go on in another project.'))
}
