import { expect, it } from 'vitest'
import { ProjectId } from '../../../../crdt/ids.ts'
import type { Project } from '../../../../crdt/project.ts'
import { createNodeCrypto } from '../../../../node/adapters/node-crypto.ts'
import { createCommandCatalogue } from '../../../../node/services/commands/command-catalogue.ts'
import { createManualClock } from '../../../support/clock.ts'
import { identity } from '../../../support/identity.ts'

const self = identity(1).peer
const clock = createManualClock()

/** A catalogue over projects whose folders take a given time to look through, and what was looked at. */
function catalogueOf(takesMs: Readonly<Record<string, number>>) {
  const looked: string[] = []
  const projects: Project[] = []
  const catalogue = createCommandCatalogue({
    self,
    clock,
    crypto: createNodeCrypto(),
    log: { debug() {}, info() {}, warn() {}, error() {} },
    projects: { all: () => Promise.resolve(projects) },
    registry: { all: () => [] } as never,
    finder: {
      async findBelow(folder: string) {
        looked.push(folder)
        await clock.advance(takesMs[folder] ?? 0)
        const at = { source: `${folder}/Makefile`, folder, meaning: '', description: '', changedAtMs: 0 }
        return {
          commands: [{ type: 'make', words: ['make', 'x'], arguments: [], options: [], ...at }],
          isComplete: true,
        }
      },
    } as never,
  })
  const add = (folder: string): void => {
    const id = ProjectId.parse(`00000000-0000-4000-8000-${String(projects.length).padStart(12, '0')}`)
    projects.push({ id, paths: { [self]: folder } } as unknown as Project)
  }
  const found = async () => (await catalogue.all()).commands.map(({ folder }) => folder)
  return { add, found, looked, projects }
}

it('finds what a new project has at once, however long looking through another takes', async () => {
  const { add, found, looked } = catalogueOf({ '/large': 30_000, '/small': 10 })
  add('/large')
  expect(await found()).toEqual(['/large'])
  add('/small')
  expect(await found()).toEqual(['/large', '/small'])
  await clock.advance(1001)
  expect(await found()).toEqual(['/large', '/small'])
  expect(looked).toEqual(['/large', '/small', '/small'])
  await clock.advance(20 * 30_000)
  await found()
  expect(looked.slice(3)).toEqual(['/large', '/small'])
})

it('forgets what a project had that is gone', async () => {
  const { add, found, looked, projects } = catalogueOf({})
  add('/one')
  add('/two')
  expect(await found()).toEqual(['/one', '/two'])
  projects.shift()
  expect(await found()).toEqual(['/two'])
  expect(looked).toEqual(['/one', '/two'])
})
