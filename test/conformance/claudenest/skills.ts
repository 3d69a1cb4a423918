import { existsSync } from 'node:fs'
import { mkdir, readFile, symlink, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { expect, it } from 'vitest'
import { openSocket, type Json } from '../../support/gateway-lab.ts'
import {
  call,
  data,
  example,
  folder,
  fresh,
  labs,
  meets,
  otherMachine,
  refusal,
  refuses,
  self,
  theLab,
  UNKNOWN,
} from './harness.ts'

const skillsOf = (machine: string): string => `/api/machines/${machine}/skills`
const at = (path: string): string => `${skillsOf(self())}/${encodeURIComponent(path)}`
const save = (path: string, more: object = {}): Promise<Json> =>
  data('POST', skillsOf(self()), { body: { path, content: `# ${path}\n`, ...more } })

const some = async () => ({ params: { machine: self(), path: (await save(fresh('skill'))).path } })
const elsewhere = () => ({ params: { machine: UNKNOWN, path: 'x' } })
const nothing = () => ({ params: { machine: self(), path: fresh('none') } })
const asleep = async () => {
  const { machine } = await data('POST', '/api/machines', { body: { name: fresh('bridged') } })
  return { params: { machine: machine.id, path: 'x' } }
}

/** A project of the machine with a file in it. */
async function projectWith(file: string, text: string): Promise<{ id: string; path: string }> {
  const path = await folder()
  await mkdir(dirname(join(path, file)), { recursive: true })
  await writeFile(join(path, file), text)
  const body = { name: fresh('project'), project_path: path }
  return { id: (await data('POST', `/api/machines/${self()}/projects`, { body })).id, path }
}

export function skillRequirements(): void {
  listRequirements()
  getRequirements()
  saveRequirements()
  changeRequirements()
  toggleRequirements()
  const remove = 'DELETE /api/machines/:machine/skills/:path'
  example(remove, some)
  refuses(remove, 'MCH_001', elsewhere)
  refuses(remove, 'MCH_002', asleep)
  refuses(remove, 'SKL_001', nothing)
  meets(remove, 'removes the skill and keeps a copy on the machine', async () => {
    const { path, file } = await save(fresh('removed'), { content: 'precious' })
    expect(await data('DELETE', at(path))).toBe(null)
    expect(await refusal('GET', at(path))).toEqual([404, 'SKL_001'])
    expect(existsSync(dirname(file))).toBe(false)
    const actor = (await actorOf())!
    const { path: second } = await save(path)
    const removed = await labs()[0].services.skills.remove(actor, self(), second)
    expect(await readFile(join(removed.ok ? removed.value.keptAt : '', 'SKILL.md.disabled'), 'utf8')).toContain(path)
  })
  bulkRequirements()
  newsRequirements()
}

const actorOf = async () => labs()[0].services.accounts.authenticate(labs()[0].token)

function listRequirements(): void {
  const list = 'GET /api/machines/:machine/skills'
  example(list, some)
  refuses(list, 'MCH_001', elsewhere)
  refuses(list, 'MCH_002', asleep)
  meets(list, 'finds what lies in the folders of agents, of the user and of projects', async () => {
    const { id, path } = await projectWith(
      '.claude/commands/git/commit.md',
      '---\ndescription: Commits\n---\nCommit it.',
    )
    const [command] = await data('GET', `${skillsOf(self())}?project_id=${id}`)
    expect(command).toMatchObject({
      path: `${id}/.claude/commands/git/commit`,
      kind: 'command',
      scope: 'project',
      project_id: id,
      name: 'commit',
      description: 'Commits',
      enabled: true,
      file: `${path}/.claude/commands/git/commit.md`,
      size_bytes: 39,
      problem: null,
    })
    const own = await save(`.codex/skills/${fresh('own')}`, { description: 'Mine' })
    const found = await data('GET', `${skillsOf(self())}?scope=user&search=${own.path.split('/').at(-1)}`)
    expect(found).toMatchObject([{ path: own.path, description: 'Mine', scope: 'user', project_id: null }])
  })
  meets(list, 'pages, 15 at a time, by priority', async () => {
    const tag = fresh('tag')
    for (const priority of [1, 20, 3]) await save(fresh('paged'), { priority, metadata: { tags: [tag] } })
    const page = (n: number) => call('GET', `${skillsOf(self())}?tag=${tag}&per_page=2&page=${n}`)
    const [first, second] = [(await page(1)).json, (await page(2)).json]
    expect([...first.data, ...second.data].map((skill: Json) => skill.priority)).toEqual([20, 3, 1])
    expect(second.meta.pagination).toEqual({ current_page: 2, last_page: 2, per_page: 2, total: 3 })
    expect((await call('GET', skillsOf(self()))).json.meta.pagination.per_page).toBe(15)
  })
  meets(list, 'filters by search, enabled and project_id', async () => {
    const word = fresh('needle')
    const { path } = await save(fresh('hay'), { description: `Has the ${word.toUpperCase()}` })
    const off = await save(fresh(word), { enabled: false })
    const paths = async (query: string) =>
      (await data('GET', `${skillsOf(self())}?search=${word}&${query}`)).map((skill: Json) => skill.path)
    expect(await paths('')).toEqual([path, off.path])
    expect([await paths('enabled=true'), await paths('enabled=0')]).toEqual([[path], [off.path]])
    expect(await paths(`project_id=${UNKNOWN}`)).toEqual([])
    expect(await refusal('GET', `${skillsOf(self())}?enabled=maybe`)).toEqual([422, 'VAL_001'])
  })
}

function getRequirements(): void {
  const get = 'GET /api/machines/:machine/skills/:path'
  example(get, some)
  refuses(get, 'MCH_001', elsewhere)
  refuses(get, 'MCH_002', asleep)
  refuses(get, 'SKL_001', nothing)
  meets(get, 'takes paths with slashes, dots and any letters, encoded or not', async () => {
    for (const name of ['a.b..c', 'Übung 100% 日本 🦉', "it's, (really) + more", fresh('bulk'), 'toggle']) {
      const path = `.claude/commands/deep/er/${name}`
      await save(path, { content: name })
      const raw = path.split('/').map(encodeURIComponent).join('/')
      expect((await data('GET', at(path))).path).toBe(path)
      expect((await data('GET', `${skillsOf(self())}/${raw}`)).content).toBe(name)
      expect((await data('POST', `${skillsOf(self())}/${raw}/toggle`)).enabled).toBe(false)
      expect((await data('PATCH', `${skillsOf(self())}/${raw}`, { body: { enabled: true } })).enabled).toBe(true)
      expect(await data('DELETE', `${skillsOf(self())}/${raw}`)).toBe(null)
    }
    expect(await refusal('POST', `${skillsOf(self())}/a/b/c`)).toEqual([404, 'REQ_003'])
    expect(await refusal('POST', at('x'))).toEqual([405, 'REQ_004'])
  })
  meets(get, 'finds a skill by its id and by its file', async () => {
    const made = await save(fresh('known'))
    for (const name of [made.id, made.file, dirname(made.file), `${made.path}/SKILL.md`, `.claude/skills/${made.path}`])
      expect(await data('GET', at(name))).toEqual(made)
  })
  meets(get, 'leads nowhere else', async () => {
    const { id, path } = await projectWith('.claude/skills/real/SKILL.md', '# Real')
    await writeFile(join(path, 'secret.md'), 'secret')
    await symlink('../../..', join(path, '.claude/skills/out'))
    await symlink('../../secret.md', join(path, '.claude/commands.md'))
    const climbs = [
      '../secret',
      '..%2fsecret',
      '../../secret.md',
      './real/../../../secret',
      'out/secret',
      'out',
      'real\u0000',
    ]
    for (const name of climbs) expect(await refusal('GET', at(`${id}/${name}`))).toEqual([404, 'SKL_001'])
    for (const name of ['/etc/passwd', '/etc', '%2e%2e%2fx', 'a\\..\\b', 'x'.repeat(2000)])
      expect(await refusal('GET', at(name))).toEqual([404, 'SKL_001'])
    expect((await data('GET', at(`${id}/real`))).content).toBe('# Real')
  })
}

function saveRequirements(): void {
  const create = 'POST /api/machines/:machine/skills'
  example(
    create,
    () => ({ params: { machine: self() } }),
    (made) =>
      expect(made).toMatchObject({
        path: 'custom-skill',
        name: 'Custom Skill',
        content: '# Custom Skill\n\nInstructions...',
        description: 'Description of the skill',
        priority: 5,
        enabled: true,
        metadata: { tags: ['custom'] },
      }),
  )
  refuses(create, 'MCH_001', elsewhere)
  refuses(create, 'MCH_002', asleep)
  meets(create, 'keeps all it was given, in a file that agents read', async () => {
    const path = fresh('kept')
    const body = { path, name: 'Kept', content: 'Do it.\n', description: 'Of use: always', priority: 7 }
    const metadata = { tags: ['a', 'b'], version: '1.0', author: 'Ada' }
    const made = await data('POST', skillsOf(self()), { body: { ...body, metadata } })
    expect(made).toMatchObject({ ...body, metadata, machine_id: self(), scope: 'user', version: '1.0', problem: null })
    expect(await data('GET', at(path))).toEqual(made)
    const { content: _, ...listed } = body
    expect((await data('GET', `${skillsOf(self())}?search=${path}`))[0]).toMatchObject(listed)
    expect(made.file.endsWith(`/.claude/skills/${path}/SKILL.md`)).toBe(true)
    const written = await readFile(made.file, 'utf8')
    expect(written).toContain(`---\nname: ${path}\ndescription: "Of use: always"\n`)
    expect(written.endsWith('---\n\nDo it.\n')).toBe(true)
  })
  meets(create, 'changes the skill that is there, and keeps what it is not given', async () => {
    const before = await save(fresh('again'), { description: 'Old', priority: 3, metadata: { tags: ['a'] } })
    await writeFile(
      before.file,
      (await readFile(before.file, 'utf8')).replace('---\n', '---\n# by hand\nlicense: MIT\n'),
    )
    const after = await save(before.path, { content: 'New', description: 'Newer' })
    expect([after.id, after.content, after.description, after.priority]).toEqual([before.id, 'New', 'Newer', 3])
    expect(after.front_matter).toContain('# by hand\nlicense: MIT\n')
  })
  meets(create, 'makes skills of projects and commands', async () => {
    const { id, path } = await projectWith('README.md', '')
    await save(`${id}/deploy`, { content: 'Deploy.' })
    await save(`${id}/.claude/commands/git/tidy`, { content: 'Tidy.' })
    expect(await readFile(join(path, '.claude/skills/deploy/SKILL.md'), 'utf8')).toContain('Deploy.')
    expect(await readFile(join(path, '.claude/commands/git/tidy.md'), 'utf8')).toBe('Tidy.')
  })
  meets(create, 'refuses what can be no path', async () => {
    for (const path of [
      '../x',
      '.hidden',
      'a/b',
      '/etc/x',
      'a\\b',
      `${UNKNOWN}/x`,
      '.claude/skills',
      ' ',
      'x'.repeat(300),
    ]) {
      const { status, json } = await call('POST', skillsOf(self()), { body: { path, content: 'x' } })
      expect([path, status, Object.keys(json.error.errors)]).toEqual([path, 422, ['path']])
    }
    const body = { path: 'x', content: 1, priority: 0.5, metadata: { a: [[[[[[[[[1]]]]]]]]] } }
    const { json } = await call('POST', skillsOf(self()), { body })
    expect(Object.keys(json.error.errors).toSorted()).toEqual(['content', 'metadata', 'priority'])
    const large = { path: 'large', content: 'ü'.repeat(400_000) }
    expect(await refusal('POST', skillsOf(self()), { body: large })).toEqual([413, 'REQ_001'])
  })
}

function changeRequirements(): void {
  const change = 'PATCH /api/machines/:machine/skills/:path'
  example(change, async () => ({ ...(await some()), body: { description: 'New' } }))
  refuses(change, 'MCH_001', () => ({ ...elsewhere(), body: { priority: 1 } }))
  refuses(change, 'MCH_002', async () => ({ ...(await asleep()), body: { priority: 1 } }))
  refuses(change, 'SKL_001', () => ({ ...nothing(), body: { priority: 1 } }))
  meets(change, 'changes what is given and keeps the rest', async () => {
    const made = await save(fresh('changed'), { description: 'Old', metadata: { tags: ['a'], author: 'Ada' } })
    const changed = await data('PATCH', at(made.path), {
      body: { display_name: 'Changed', priority: 20, metadata: { author: null, version: '2' } },
    })
    const { content, description, id } = made
    expect(changed).toMatchObject({ id, content, description, name: 'Changed', priority: 20, enabled: true })
    expect(changed.metadata).toEqual({ tags: ['a'], version: '2' })
    const off = await data('PATCH', at(made.path), { body: { enabled: false, content: 'Off' } })
    expect(off).toMatchObject({ content: 'Off', enabled: false, name: 'Changed', file: `${made.file}.disabled` })
  })
  meets(change, 'refuses to change a file that it cannot read', async () => {
    const { path, file } = await save(fresh('broken'))
    const text = '---\nname: [\n---\nBody'
    await writeFile(file, text)
    expect(await refusal('PATCH', at(path), { body: { priority: 1 } })).toEqual([409, 'SKL_002'])
    expect(await readFile(file, 'utf8')).toBe(text)
    expect((await data('GET', at(path))).problem).toContain('not valid YAML')
  })
}

function toggleRequirements(): void {
  const toggle = 'POST /api/machines/:machine/skills/:path/toggle'
  example(toggle, some, ({ enabled }) => expect(enabled).toBe(false))
  refuses(toggle, 'MCH_001', elsewhere)
  refuses(toggle, 'MCH_002', asleep)
  refuses(toggle, 'SKL_001', nothing)
  meets(toggle, 'takes the file away from agents and gives it back as it was', async () => {
    const { path, file } = await save(fresh('toggled'))
    const text = await readFile(file, 'utf8')
    expect(await data('POST', `${at(path)}/toggle`)).toEqual({ path, enabled: false })
    expect([existsSync(file), await readFile(`${file}.disabled`, 'utf8')]).toEqual([false, text])
    expect(await data('POST', `${at(path)}/toggle`, { body: {} })).toEqual({ path, enabled: true })
    expect([existsSync(`${file}.disabled`), await readFile(file, 'utf8')]).toEqual([false, text])
  })
}

function bulkRequirements(): void {
  const bulk = 'POST /api/machines/:machine/skills/bulk'
  example(
    bulk,
    async () => {
      await save('debugging')
      await save('testing')
      return { params: { machine: self() } }
    },
    (done) => expect(done).toEqual({ updated_count: 2, updated: ['debugging', 'testing'], failed: [] }),
  )
  refuses(bulk, 'MCH_001', elsewhere)
  refuses(bulk, 'MCH_002', asleep)
  meets(bulk, 'does what it can and names what it cannot', async () => {
    const { path } = await save(fresh('bulk'))
    const updates = [
      { path: 'no-such-skill', enabled: true },
      { path, enabled: false, priority: 9 },
    ]
    expect(await data('POST', `${skillsOf(self())}/bulk`, { body: { updates } })).toEqual({
      updated_count: 1,
      updated: [path],
      failed: [{ path: 'no-such-skill', code: 'SKL_001', message: expect.any(String) }],
    })
    expect(await data('GET', at(path))).toMatchObject({ enabled: false, priority: 9 })
  })
  meets(bulk, 'takes paths and enabled, as known clients send them', async () => {
    const paths = [(await save(fresh('bulk'))).path, (await save(fresh('bulk'))).path]
    const done = await data('POST', `${skillsOf(self())}/bulk`, { body: { paths, enabled: false } })
    expect([done.updated_count, (await data('GET', at(paths[1]))).enabled]).toEqual([2, false])
    for (const body of [
      {},
      { paths },
      { enabled: true },
      { updates: [], paths, enabled: true },
      { updates: [{ path: 'x' }] },
    ])
      expect(await refusal('POST', `${skillsOf(self())}/bulk`, { body })).toEqual([422, 'VAL_001'])
  })
}

function newsRequirements(): void {
  it('[10] tells on the channels of the machine and the project, on every gateway, that skills changed', async () => {
    const { id, path } = await projectWith('.claude/skills/watched/SKILL.md', '# One')
    expect((await data('GET', at(`${id}/watched`))).content).toBe('# One')
    for (const lab of labs()) {
      const socket = await openSocket(lab.url)
      for (const channel of [`private-machine.${self()}`, `private-project.${id}`])
        socket.subscribe(channel, { token: lab.token }, { spelling: 'colon' })
      // As an editor does, past the API.
      await writeFile(join(path, '.claude/skills/watched/SKILL.md'), `# ${fresh('two')}`)
      for (const channel of [`private-machine.${self()}`, `private-project.${id}`])
        await socket.seen(
          ({ event, channel: on, data: said }) =>
            event === 'skills:changed' && on === channel && said.machine_id === self() && said.project_ids.includes(id),
        )
      socket.close()
    }
  })
  it('[10] needs the ability, for reading and for changing', async () => {
    const { token } = await theLab().tokenWith(['skill:read'])
    expect((await call('GET', skillsOf(self()), { token })).status).toBe(200)
    expect(await refusal('POST', skillsOf(self()), { token, body: { path: 'x', content: 'x' } })).toEqual([
      403,
      'AUTH_006',
    ])
    const other = await theLab().tokenWith(['machine:read', 'machine:write'])
    expect(await refusal('GET', skillsOf(otherMachine()), { token: other.token })).toEqual([403, 'AUTH_006'])
  })
}
