import * as Y from 'yjs'
import { assert, constantFrom, integer, property, tuple, uniqueArray } from 'fast-check'
import { expect, it } from 'vitest'
import { ProjectId } from '../../../crdt/ids.ts'
import { addProjectEntry, readProjectIndex, removeProjectEntry, repositoryKey } from '../../../crdt/mesh-document.ts'

const id = (n: number): ProjectId => ProjectId.parse(`${String(n).padStart(8, '0')}-0000-4000-8000-000000000000`)
const entry = (key: string) => ({ name: 'app', key, createdAt: '2026-11-23T12:00:00.000Z', createdBy: 'ada' })
const rootCommit = 'a'.repeat(40)

it.each([
  'git@github.com:ada/app.git',
  'github.com:ada/app',
  'https://github.com/ada/app',
  'https://ada:secret@github.com/ada/app.git/',
  'ssh://git@GITHUB.com:22/ada/app.git',
  'git://github.com/ada/app',
])('[M19] takes %s as the address it is', (remote) => {
  expect(repositoryKey({ rootCommit, remote })).toBe(`repository ${rootCommit} github.com/ada/app`)
})

it.each(['/srv/git/app.git', '../app', 'file:///srv/git/app', 'C:\\git\\app', null])(
  '[M19] takes %s, which is another thing on every machine, for no address',
  (remote) => {
    expect(repositoryKey({ rootCommit, remote })).toBe(`repository ${rootCommit} `)
  },
)

it('[M19] reads the same index whatever the order in which entries arrive', () => {
  const arbitrary = uniqueArray(tuple(integer({ min: 0, max: 30 }), constantFrom('k1', 'k2', 'k3')), {
    selector: ([n]) => n,
    minLength: 1,
  })
  assert(
    property(arbitrary, integer({ min: 0, max: 30 }), (entries, removed) => {
      const views = [entries, entries.toReversed()].map((order) => {
        const updates = order.map(([n, key]) => {
          const author = new Y.Doc()
          addProjectEntry(author, id(n), entry(key))
          return Y.encodeStateAsUpdate(author)
        })
        const state = new Y.Doc()
        for (const update of updates) Y.applyUpdate(state, update)
        const doomed = readProjectIndex(state).resolve(id(removed))
        if (doomed) removeProjectEntry(state, doomed, '2026-11-23T12:00:00.000Z')
        return { index: readProjectIndex(state), doomed }
      })
      const [one, two] = views.map(({ index }) => [...index.projects.values()])
      expect(one).toEqual(two)
      for (const project of one!) {
        expect(project.aliases.every((alias) => alias > project.id)).toBe(true)
        for (const each of [project.id, ...project.aliases]) expect(views[0]!.index.resolve(each)).toEqual(project)
      }
      const keys = new Set(one!.map(({ key }) => key))
      expect(keys.size).toBe(one!.length)
      expect(views[0]!.doomed && keys.has(views[0]!.doomed.key)).not.toBe(true)
    }),
    { seed: 7 },
  )
})
