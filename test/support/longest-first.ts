import { BaseSequencer, type TestSpecification } from 'vitest/node'

/** Folders of `test/`, those whose files wait the most first: what only computes fills in and ends together. */
const FOLDERS = ['e2e', 'integration', 'conformance', 'sim', 'compat', 'contract', 'unit']
/** Runs for a minute and longer, however little text it has. */
const LONG = /\/e2e\/bounds\.test\.ts$/

/**
 * On a fresh clone nobody knows how long a file takes, and vitest goes by its size: the longest run of all, which is the
 * shortest text, would start last and have the machine for itself.
 */
export class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files)
    return sorted.toSorted((a, b) => placeOf(a) - placeOf(b))
  }
}

function placeOf({ moduleId }: TestSpecification): number {
  if (LONG.test(moduleId)) return -1
  return FOLDERS.findIndex((folder) => moduleId.includes(`/test/${folder}/`))
}
