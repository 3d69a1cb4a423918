import { expect, it } from 'vitest'
import { paginate, paginateRuns } from '../../../crdt/page.ts'

it('[page] several lists have the pages that they would have as one', () => {
  const runs = [[1, 2, 3], [], [4], [5, 6, 7, 8], []]
  for (let perPage = 1; perPage <= 10; perPage++)
    for (let page = 1; page <= 10; page++)
      expect(paginateRuns(runs, { page, perPage })).toEqual(paginate(runs.flat(), { page, perPage }))
})
