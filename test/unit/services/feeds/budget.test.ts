import { expect, it } from 'vitest'
import { budgetProblems } from '../../../../node/services/feeds/budget.ts'
import { createMembership, createTestReplica, PROJECT } from '../../../support/replicas.ts'

it('[D9] names a document that has outgrown its budget, also when it has left memory', async () => {
  const { documents, clock } = await createTestReplica(0, createMembership(1))
  await documents.write(PROJECT, undefined, (state) => void state.getMap('m').set('a', 1))
  expect(budgetProblems(documents.info())).toEqual([])
  for (let part = 0; part < 51; part++)
    await documents.write(PROJECT, undefined, (state) => void state.getMap('m').set(`${part}`, 'x'.repeat(100_000)))
  const words = [expect.stringContaining(`The document ${PROJECT} is larger than one should be (5.1 MB, 52 structs`)]
  expect(budgetProblems(documents.info())).toEqual(words)
  await clock.advance(310_000)
  await documents.contentHash(PROJECT)
  await clock.advance(310_000)
  const [info] = documents.info()
  expect([info?.loaded, budgetProblems(documents.info())]).toEqual([false, words])
})
