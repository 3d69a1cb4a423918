import { afterEach, describe, expect, it } from 'vitest'
import { meshDoc, projectDoc } from '../../../../crdt/ids.ts'
import { machineIdOf } from '../../../../crdt/machine-id.ts'
import type { RepositoryIdentity } from '../../../../crdt/project.ts'
import { err, ok, type Result } from '../../../../crdt/result.ts'
import { domainError } from '../../../../crdt/errors.ts'
import type { FolderFacts } from '../../../../node/ports/machine-probe.ts'
import { createProjectService, type Projects } from '../../../../node/services/projects/project-service.ts'
import { localActor, settle, SimMesh, type SimNode } from '../../../support/services-mesh.ts'

const ROOT = 'a'.repeat(40)
const PAGE = { page: 1, perPage: 15 }
const repository = (remote: string | null, rootCommit = ROOT): RepositoryIdentity => ({ rootCommit, remote })

const started: Projects[] = []
afterEach(() => {
  for (const projects of started.splice(0)) projects.stop()
})

/** A machine's folders: path → the repository whose top it is; `file` is no folder. */
type Folders = Readonly<Record<string, RepositoryIdentity | null | 'file'>>

async function start(node: SimNode, folders: Folders, foldsCase = false): Promise<Projects> {
  const inspectFolder = async (path: string): Promise<FolderFacts> => {
    const found = folders[path]
    if (found === undefined) return { exists: false, isDirectory: false, realPath: null, repository: null, foldsCase }
    if (found === 'file') return { exists: true, isDirectory: false, realPath: path, repository: null, foldsCase }
    return { exists: true, isDirectory: true, realPath: path, repository: found, foldsCase }
  }
  const projects = await createProjectService({
    documents: node.documents,
    machines: {
      nodeOf: async (id) => {
        const found = node.mesh.nodes.find(({ peer }) => machineIdOf(peer) === id)
        return found
          ? ok({ machineId: machineIdOf(found.peer), peer: found.peer })
          : err(domainError('machine_not_found'))
      },
    },
    rpc: node.rpc,
    probe: { inspectFolder },
    events: node.events,
    clock: node.mesh.clock,
    random: node.random,
  })
  started.push(projects)
  return projects
}

async function twoNodes(foldersOne: Folders, foldersTwo: Folders, { foldsTwo = false } = {}) {
  const mesh = new SimMesh()
  const [one, two] = [mesh.add(1), mesh.add(2)]
  const [a, b] = [await start(one, foldersOne), await start(two, foldersTwo, foldsTwo)]
  const [machineA, machineB] = [machineIdOf(one.peer), machineIdOf(two.peer)]
  return { mesh, one, two, a, b, machineA, machineB, actor: localActor(one) }
}

const value = <T>(result: Result<T>): T => {
  if (!result.ok) throw new Error(`${result.error.code}: ${result.error.message}`)
  return result.value
}
const codeOf = (result: Result<unknown>): string => (result.ok ? 'ok' : result.error.code)

describe('adding a project', () => {
  it('makes it known on every node, with defaults that live in code', async () => {
    const { one, two, a, b, machineA, actor } = await twoNodes({ '/home/ada/app': null }, {})
    const project = value(
      await a.create(actor, machineA, {
        projectPath: '/home/ada/app',
        summary: 'An app',
        settings: { maxContextTokens: 4000 },
      }),
    )
    await settle()
    expect(project).toEqual({
      id: project.id,
      name: 'app',
      summary: 'An app',
      architecture: '',
      conventions: '',
      currentFocus: '',
      recentChanges: '',
      settings: { maxContextTokens: 4000, taskTimeoutMinutes: 60, lockPolicy: 'local-first', caseFold: false },
      repository: null,
      paths: { [one.peer]: '/home/ada/app' },
      createdAt: new Date(one.mesh.clock.wallMs()).toISOString(),
      createdBy: 'local',
    })
    expect(value(await b.get(project.id))).toEqual(project)
    expect(await b.all()).toEqual([project])
    expect(value(await b.list(machineA, PAGE)).items).toEqual([project])
    expect(value(await b.list(machineIdOf(two.peer), PAGE)).items).toEqual([])
    expect(one.told).toEqual([{ type: 'project.created', projectId: project.id }])
    expect(two.told[0]).toEqual({ type: 'project.created', projectId: project.id })
  })

  it('is done from afar: the machine itself looks at the folder', async () => {
    const { two, a, machineB, actor } = await twoNodes({}, { '/srv/app': null })
    expect(value(await a.create(actor, machineB, { projectPath: '/srv/app' })).paths).toEqual({
      [two.peer]: '/srv/app',
    })
  })

  it.each([
    ['/nowhere', 'There is no folder /nowhere on this machine.'],
    ['/etc/hosts', '/etc/hosts is not a folder.'],
    ['relative/path', 'The project path must be an absolute path.'],
    ['/nul\0byte', 'The project path must be an absolute path.'],
  ])('refuses %j, saying why', async (projectPath, why) => {
    const { a, machineA, actor } = await twoNodes({ '/etc/hosts': 'file' }, {})
    const result = await a.create(actor, machineA, { projectPath })
    expect(result.ok ? undefined : result.error).toMatchObject({
      code: 'invalid_input',
      details: { fields: { project_path: [why] } },
    })
    expect(await a.all()).toEqual([])
  })

  it('refuses the same folder of the same machine twice, also at once and after it became a repository', async () => {
    const folders: Record<string, RepositoryIdentity | null> = { '/app': null }
    const { a, machineA, actor } = await twoNodes(folders, {})
    const both = await Promise.all([1, 2].map(() => a.create(actor, machineA, { projectPath: '/app' })))
    expect(both.map(codeOf).sort()).toEqual(['ok', 'project_exists'])
    folders['/app'] = repository(null)
    expect(codeOf(await a.create(actor, machineA, { projectPath: '/app' }))).toBe('project_exists')
    expect(await a.all()).toHaveLength(1)
  })

  it('needs the ability, a known machine, one that answers, and valid fields', async () => {
    const { two, a, machineA, machineB, actor } = await twoNodes({ '/app': null }, { '/app': null })
    const input = { projectPath: '/app' }
    expect(codeOf(await a.create({ ...actor, abilities: ['project:read'] }, machineA, input))).toBe('forbidden')
    expect(codeOf(await a.create(actor, 'unknown', input))).toBe('machine_not_found')
    two.isOffline = true
    expect(codeOf(await a.create(actor, machineB, input))).toBe('machine_offline')
    const invalid = await a.create(actor, machineA, { ...input, name: ' ', settings: { taskTimeoutMinutes: 0 } })
    expect(invalid.ok ? undefined : Object.keys(invalid.error.details!.fields!).sort()).toEqual([
      'name',
      'settings.taskTimeoutMinutes',
    ])
  })

  it('[L2.9] folds case as soon as one of its folders lies where A and a are one file', async () => {
    const folders = { '/app': repository('git@x:y') }
    const { a, b, machineA, machineB, actor } = await twoNodes(
      folders,
      { ...folders, '/own': null },
      { foldsTwo: true },
    )
    const caseFold = async (id: string) => value(await a.get(id)).settings.caseFold
    const { id } = value(await a.create(actor, machineA, { projectPath: '/app' }))
    await settle()
    expect(await caseFold(id)).toBe(false)
    value(await b.create(actor, machineB, { projectPath: '/app' }))
    const own = value(await b.create(actor, machineB, { projectPath: '/own', settings: { caseFold: false } }))
    await settle()
    expect([await caseFold(id), await caseFold(own.id)]).toEqual([true, true])
    value(await a.update(actor, id, { settings: { caseFold: false, lockPolicy: 'strict' } }))
    expect(value(await a.get(id)).settings).toMatchObject({ caseFold: false, lockPolicy: 'strict' })
  })

  it('leaves nothing behind that stops a second try after the disk refused', async () => {
    const { one, a, machineA, actor } = await twoNodes({ '/app': null }, {})
    one.diskFails = true
    expect(codeOf(await a.create(actor, machineA, { projectPath: '/app' }))).toBe('storage_failed')
    one.diskFails = false
    expect(codeOf(await a.create(actor, machineA, { projectPath: '/app' }))).toBe('ok')
  })
})

describe('one repository on two machines', () => {
  it.each([
    ['git@github.com:ada/app.git', 'https://github.com/ada/app'],
    ['ssh://git@GitHub.com:22/ada/app.git', 'git@github.com:ada/app'],
    ['/srv/git/app.git', null],
  ])('[M19] is one project with two paths (%s, %s)', async (remoteOne, remoteTwo) => {
    const { one, two, a, b, machineA, machineB, actor } = await twoNodes(
      { '/home/ada/app': repository(remoteOne) },
      { '/srv/app': repository(remoteTwo) },
    )
    const first = value(await a.create(actor, machineA, { projectPath: '/home/ada/app', summary: 'first' }))
    await settle()
    const second = value(await b.create(actor, machineB, { projectPath: '/srv/app', summary: 'second' }))
    expect(second).toEqual({ ...first, paths: { [one.peer]: '/home/ada/app', [two.peer]: '/srv/app' } })
    expect(codeOf(await a.create(actor, machineA, { projectPath: '/home/ada/app' }))).toBe('project_exists')
  })

  it.each([
    ['another remote', repository('https://github.com/eve/app')],
    ['another history', repository('https://github.com/ada/app', 'b'.repeat(40))],
    ['no repository', null],
  ])('[M19] are two projects with %s', async (_, other) => {
    const { a, machineA, machineB, actor } = await twoNodes(
      { '/app': repository('https://github.com/ada/app') },
      { '/app': other },
    )
    const ids = [
      value(await a.create(actor, machineA, { projectPath: '/app' })).id,
      value(await a.create(actor, machineB, { projectPath: '/app' })).id,
    ]
    expect(new Set(ids).size).toBe(2)
  })

  it('[M19] that were added while the mesh was cut become one: the smaller id, the other an alias', async () => {
    const same = repository('https://github.com/ada/app')
    const { mesh, one, two, a, b, machineA, machineB, actor } = await twoNodes({ '/a': same }, { '/b': same })
    two.isCut = true
    const first = value(await a.create(actor, machineA, { projectPath: '/a', name: 'from a' }))
    const second = value(await b.create(actor, machineB, { projectPath: '/b', name: 'from b' }))
    expect(first.id).not.toBe(second.id)
    mesh.connect()
    await settle()
    const [kept, alias] = first.id < second.id ? [first, second] : [second, first]
    const merged = { ...kept, paths: { [one.peer]: '/a', [two.peer]: '/b' } }
    for (const projects of [a, b]) {
      expect(await projects.all()).toEqual([merged])
      expect(value(await projects.get(alias.id))).toEqual(merged)
      expect(projects.resolve(alias.id)).toMatchObject({ id: kept.id, aliases: [alias.id] })
    }
    value(await a.update(actor, alias.id, { summary: 'through the alias' }))
    await settle()
    expect(value(await b.get(kept.id)).summary).toBe('through the alias')
    value(await b.remove(actor, alias.id))
    await settle()
    expect([await a.all(), await b.all()]).toEqual([[], []])
  })
})

describe('changing a project', () => {
  it('[D2] keeps concurrent changes of different fields', async () => {
    const { mesh, two, a, b, machineA, actor } = await twoNodes({ '/app': null }, {})
    const { id } = value(await a.create(actor, machineA, { projectPath: '/app' }))
    await settle()
    two.isCut = true
    value(await a.update(actor, id, { summary: 'from a', settings: { maxContextTokens: 1000 } }))
    value(await b.update(actor, id, { currentFocus: 'from b', settings: { taskTimeoutMinutes: 5 } }))
    mesh.connect()
    await settle()
    const project = value(await a.get(id))
    expect(project).toMatchObject({
      summary: 'from a',
      currentFocus: 'from b',
      settings: { maxContextTokens: 1000, taskTimeoutMinutes: 5 },
    })
    expect(value(await b.get(id))).toEqual(project)
  })

  it('is told of once, on every node; what changes nothing is not told of', async () => {
    const { one, two, a, machineA, actor } = await twoNodes({ '/app': null }, {})
    const { id } = value(await a.create(actor, machineA, { projectPath: '/app' }))
    await settle()
    one.told.splice(0)
    two.told.splice(0)
    value(await a.update(actor, id, { summary: 'new' }))
    value(await a.update(actor, id, { summary: 'new' }))
    await one.documents.write(projectDoc(id), undefined, (state) => state.getMap('tasks').set('x', 1))
    await settle()
    const event = { type: 'project.updated', projectId: id }
    expect([one.told, two.told]).toEqual([[event], [event]])
  })

  it('needs the ability, a project and valid fields', async () => {
    const { a, machineA, actor } = await twoNodes({ '/app': null }, {})
    const { id } = value(await a.create(actor, machineA, { projectPath: '/app' }))
    expect(codeOf(await a.update({ ...actor, abilities: [] }, id, { name: 'x' }))).toBe('forbidden')
    expect(codeOf(await a.update(actor, 'unknown', { name: 'x' }))).toBe('project_not_found')
    const invalid = await a.update(actor, id, { currentFocus: 'x'.repeat(20_000) })
    expect(invalid.ok ? undefined : Object.keys(invalid.error.details!.fields!)).toEqual(['current_focus'])
  })
})

describe('removing a project', () => {
  it('removes it everywhere, once, and lets the folder be added anew', async () => {
    const { one, two, a, b, machineA, actor } = await twoNodes({ '/app': null }, {})
    const { id } = value(await a.create(actor, machineA, { projectPath: '/app' }))
    await settle()
    expect(codeOf(await b.remove({ ...actor, abilities: ['project:read'] }, id))).toBe('forbidden')
    value(await b.remove(actor, id))
    await settle()
    expect(codeOf(await a.get(id))).toBe('project_not_found')
    expect(codeOf(await a.remove(actor, id))).toBe('project_not_found')
    for (const node of [one, two]) expect(node.told.at(-1)).toEqual({ type: 'project.deleted', projectId: id })
    expect(value(await a.create(actor, machineA, { projectPath: '/app' })).id).not.toBe(id)
  })

  it('wins over a change made elsewhere at the same time', async () => {
    const { mesh, two, a, b, machineA, actor } = await twoNodes({ '/app': null }, {})
    const { id } = value(await a.create(actor, machineA, { projectPath: '/app' }))
    await settle()
    two.isCut = true
    value(await a.remove(actor, id))
    value(await b.update(actor, id, { name: 'still here' }))
    mesh.connect()
    await settle()
    expect([codeOf(await a.get(id)), codeOf(await b.get(id))]).toEqual(['project_not_found', 'project_not_found'])
  })
})

describe('what a member scribbles', () => {
  it('[M13] into the index or a project is ignored, field by field', async () => {
    const { one, two, a, machineA, actor } = await twoNodes({ '/app': null }, {})
    const { id } = value(await a.create(actor, machineA, { projectPath: '/app', summary: 'good' }))
    const before = value(await a.get(id))
    await two.documents.write(meshDoc, undefined, (state) => {
      state.getMap('projects').set('not a uuid', { name: 'x' })
      state.getMap('projects').set('00000000-0000-4000-8000-000000000000', { name: '', key: 'k', createdAt: 'now' })
      state.getMap('projects').set('__proto__', 'x')
    })
    await two.documents.write(projectDoc(id), undefined, (state) => {
      state.getMap('project').set('name', { evil: true })
      state.getMap('project').set('settings.maxContextTokens', -1)
      state.getMap('project').set('settings.lockPolicy', 'whatever')
      state.getMap('project').set('settings.caseFold', 'yes')
      state.getMap('project').set('repository', { rootCommit: '$(reboot)', remote: null })
      state.getMap('paths').set('__proto__', '/etc')
      state.getMap('paths').set(two.peer, 'relative')
    })
    await settle()
    expect(await a.all()).toEqual([before])
    expect(value(await a.get(id))).toEqual(before)
    expect(one.log.lines).toEqual([])
  })

  it('[M13] leaves every node with the same view of it', async () => {
    const { two, a, b, machineA, actor } = await twoNodes({ '/app': null }, {})
    const { id } = value(await a.create(actor, machineA, { projectPath: '/app' }))
    await two.documents.write(projectDoc(id), undefined, (state) => state.getMap('project').set('summary', 7))
    await settle()
    expect(value(await a.get(id))).toEqual(value(await b.get(id)))
  })
})
