import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { chmod, link, lstat, mkdir, mkdtemp, readdir, readFile, rename, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { ProjectId } from '../../../crdt/ids.ts'
import type { SkillChange } from '../../../crdt/skill.ts'
import { createSkillFiles } from '../../../node/adapters/skills/skill-files.ts'
import { SKILL_FILE_BYTES_MAX } from '../../../node/adapters/skills/skill-reading.ts'
import type { SkillFiles, SkillHome, SkillSpot } from '../../../node/ports/skill-files.ts'
import { parseSkillPath, PROJECT_PLACES, USER_PLACES } from '../../../node/services/skills/skill-places.ts'

const PROJECT = ProjectId.parse('00000000-0000-4000-8000-000000000001')

let folder: string
let user: SkillHome
let project: SkillHome
let files: SkillFiles
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'rk-skills-'))
  user = { folder: join(folder, 'home'), projectId: null, places: USER_PLACES }
  project = { folder: join(folder, 'project'), projectId: PROJECT, places: PROJECT_PLACES }
  for (const home of [user, project]) await mkdir(home.folder)
  files = createSkillFiles()
})
afterEach(() => rm(folder, { recursive: true }))

async function put(home: SkillHome, path: string, text: string): Promise<string> {
  const file = join(home.folder, path)
  await mkdir(dirname(file), { recursive: true })
  await writeFile(file, text)
  return file
}
const textAt = (home: SkillHome, path: string): Promise<string> => readFile(join(home.folder, path), 'utf8')

function spot(path: string): SkillSpot {
  const address = parseSkillPath(path)
  if (!address) throw new Error(`${path} is no path`)
  return { home: address.projectId === null ? user : project, place: address.place, name: address.name }
}
const listed = async (): Promise<string[]> =>
  (await files.scan([user, project])).skills.map(
    ({ spot: { home, place, name }, enabled }) =>
      `${home.projectId === null ? '' : 'project '}${place.folder} ${name}${enabled ? '' : ' (off)'}`,
  )
const create = (path: string, change: SkillChange) => files.write(spot(path), change, { create: true })
const change = (path: string, to: SkillChange) => files.write(spot(path), to, { create: false })
const codeOf = (result: { ok: boolean; error?: { code: string } }): string => (result.ok ? 'ok' : result.error!.code)

const SKILL = '---\nname: debugging\ndescription: Finds bugs # always\n---\n\n# Debugging\n'

describe('the skills on a disk', () => {
  it('are found in the folders of all agents, of the person and of projects', async () => {
    await put(user, '.claude/skills/debugging/SKILL.md', SKILL)
    await put(user, '.claude/commands/git/commit.md', 'Commit it.')
    await put(user, '.codex/prompts/review.md', 'Review.')
    await put(user, '.codex/prompts/deep/er.md', 'Nobody looks here.')
    await put(user, '.codex/skills/team/deploy/SKILL.md', SKILL)
    await put(user, '.claude/skills/team/deploy/SKILL.md', SKILL)
    await put(user, '.config/opencode/commands/ship.md', 'Ship.')
    await put(project, '.agents/skills/böse Übung/SKILL.md', SKILL)
    await put(project, '.opencode/skills/x/SKILL.md.disabled', SKILL)
    await put(project, '.claude/skills/.hidden/SKILL.md', SKILL)
    await put(project, '.claude/skills/empty/README.md', SKILL)
    expect(await listed()).toEqual([
      '.claude/skills debugging',
      '.claude/commands git/commit',
      '.codex/skills team/deploy',
      '.codex/prompts review',
      '.config/opencode/commands ship',
      'project .agents/skills böse Übung',
      'project .opencode/skills x (off)',
    ])
  })

  it('say what their front matter says, and where it says nothing what agents make of that', async () => {
    const yaml = 'name: debugging\nversion: 2\nmetadata: {title: Debugging, priority: "10", tags: "a, b", author: Ada}'
    await put(user, '.claude/skills/debugging/SKILL.md', `---\n${yaml}\n---\n# Title\n\nFirst words\nof it.\n\nMore.`)
    await put(user, '.claude/commands/bare.md', 'Just do it.')
    await put(user, '.claude/commands/broken.md', '---\na: [\n---\nText')
    const { skills } = await files.scan([user])
    expect(
      skills.map(({ name, description, priority, tags, version, problem }) => [
        name,
        description,
        priority,
        tags,
        version,
        problem,
      ]),
    ).toEqual([
      ['Debugging', 'First words of it.', 10, ['a', 'b'], '2', 'It has no description: some agents leave it out.'],
      ['bare', 'Just do it.', 0, [], null, null],
      ['broken', 'Text', 0, [], null, expect.stringContaining('not valid YAML')],
    ])
    expect(await files.read(spot('debugging'))).toMatchObject({
      value: {
        content: '# Title\n\nFirst words\nof it.\n\nMore.',
        frontMatter: `${yaml}\n`,
        metadata: { tags: ['a', 'b'], version: '2', author: 'Ada' },
      },
    })
  })

  it('are read again only when they have changed', async () => {
    const file = await put(user, '.claude/skills/debugging/SKILL.md', SKILL)
    const names = async () => (await files.scan([user])).skills.map(({ name }) => name)
    expect(await names()).toEqual(['debugging'])
    await chmod(file, 0)
    await writeFile(`${file}.new`, SKILL.replace('debugging', 'testing'))
    await rename(`${file}.new`, file)
    expect(await names()).toEqual(['testing'])
  })
})

describe('[A-X2] nothing outside the places is read or written', () => {
  const secret = 'SECRET'
  let outside: string
  beforeEach(async () => {
    outside = join(folder, 'outside')
    await mkdir(join(outside, 'skill'), { recursive: true })
    for (const file of ['SKILL.md', 'skill/SKILL.md', 'secret.md']) await writeFile(join(outside, file), secret)
  })
  const untouched = async (): Promise<void> => {
    expect((await readdir(outside, { recursive: true })).toSorted()).toEqual([
      'SKILL.md',
      'secret.md',
      'skill',
      'skill/SKILL.md',
    ])
    for (const file of ['SKILL.md', 'skill/SKILL.md', 'secret.md'])
      expect(await readFile(join(outside, file), 'utf8')).toBe(secret)
  }

  it.each([
    ['the agent folder', '.claude', '.', 'skill'],
    ['the place', '.claude/skills', '.', 'skill'],
    ['the skill', '.claude/skills/linked', 'skill', 'linked'],
    ['the file', '.claude/skills/linked/SKILL.md', 'secret.md', 'linked'],
    ['the set-aside file', '.claude/skills/linked/SKILL.md.disabled', 'secret.md', 'linked'],
  ])('when a repository brings %s as a link', async (_, from, to, name) => {
    await mkdir(dirname(join(project.folder, from)), { recursive: true })
    await symlink(join(outside, to), join(project.folder, from))
    const path = `${PROJECT}/${name}`
    expect(await listed()).toEqual([])
    expect(codeOf(await files.read(spot(path)))).toBe('skill_not_found')
    expect(codeOf(await change(path, { content: 'x' }))).toBe('skill_not_found')
    expect(codeOf(await files.setEnabled(spot(path), false))).toBe('skill_not_found')
    expect(codeOf(await files.remove(spot(path)))).toBe('skill_not_found')
    expect(['ok', 'skill_conflict']).toContain(codeOf(await create(path, { content: 'x' })))
    await untouched()
  })

  it('when a command, or a folder of commands, is a link', async () => {
    await mkdir(join(project.folder, '.claude/commands'), { recursive: true })
    await symlink(join(outside, 'secret.md'), join(project.folder, '.claude/commands/secret.md'))
    await symlink(outside, join(project.folder, '.claude/commands/deep'))
    expect(await listed()).toEqual([])
    for (const name of ['secret', 'deep/secret'])
      expect(codeOf(await create(`${PROJECT}/.claude/commands/${name}`, { content: 'x' }))).toBe('skill_conflict')
    await untouched()
  })

  it('follows the links of the person to where the own skills are kept', async () => {
    await mkdir(join(user.folder, '.claude'))
    await symlink(outside, join(user.folder, '.claude/skills'))
    expect(await listed()).toEqual(['.claude/skills skill'])
  })

  it('waits for no pipe and opens no device', async () => {
    await mkdir(join(user.folder, '.claude/skills/pipe'), { recursive: true })
    await mkdir(join(user.folder, '.claude/commands'))
    execFileSync('mkfifo', [
      join(user.folder, '.claude/skills/pipe/SKILL.md'),
      join(user.folder, '.claude/commands/pipe.md'),
    ])
    await symlink('/dev/zero', join(user.folder, '.claude/commands/zero.md'))
    expect(await listed()).toEqual([])
    expect(codeOf(await files.read(spot('pipe')))).toBe('skill_not_found')
    expect(codeOf(await create('pipe', { content: 'x' }))).toBe('skill_conflict')
  })

  it('while folders and links are swapped all the time', async () => {
    const real = join(project.folder, '.claude/skills/swapped')
    await put(project, '.claude/skills/swapped/SKILL.md', 'inside')
    await symlink(join(outside, 'skill'), join(project.folder, 'link'))
    const path = `${PROJECT}/swapped`
    let isOver = false
    const swap = async (): Promise<void> => {
      while (!isOver) {
        await rename(real, `${real}-aside`)
        await rename(join(project.folder, 'link'), real)
        await rename(real, join(project.folder, 'link'))
        await rename(`${real}-aside`, real)
      }
    }
    const swapping = swap()
    const seen = new Set<string>()
    // How often the folder is there when it is looked at is chance: until it was there once, however busy the machine is.
    for (let i = 0; i < 100 || !seen.has('inside'); i++) {
      const read = await files.read(spot(path))
      seen.add(read.ok ? read.value.content.slice(0, 6) : read.error.code)
      const written = await change(path, { content: `inside ${i}` })
      seen.add(codeOf(written))
      await files.scan([project])
    }
    isOver = true
    await swapping
    expect(seen.has(secret)).toBe(false)
    await untouched()
  })
})

describe('writing a skill', () => {
  it('makes a file that agents understand, with all it was given', async () => {
    const metadata = { tags: ['custom'], version: '1.0' }
    const content = '# Custom Skill\n\nInstructions...'
    const made = await create('custom-skill', {
      name: 'Custom Skill',
      content,
      description: 'Of it',
      priority: 5,
      metadata,
    })
    expect(made).toMatchObject({
      ok: true,
      value: {
        name: 'Custom Skill',
        content,
        description: 'Of it',
        priority: 5,
        metadata,
        enabled: true,
        problem: null,
      },
    })
    expect(await textAt(user, '.claude/skills/custom-skill/SKILL.md')).toBe(
      [
        '---',
        'name: custom-skill',
        'description: Of it',
        'metadata:',
        '  title: Custom Skill',
        '  tags:',
        '    - custom',
        '  version: "1.0"',
        '  priority: 5',
        '---',
        '',
        content,
      ].join('\n'),
    )
  })

  it('writes a command that is nothing but its text, and one that only looks as if it had front matter', async () => {
    for (const content of ['Commit it.\n', '---\nnot yaml', '\n\n# A', '']) {
      const made = await create(`${PROJECT}/.claude/commands/git/commit`, { content })
      expect(made).toMatchObject({ ok: true, value: { content, problem: null } })
    }
    await create(`${PROJECT}/.claude/commands/git/commit`, { content: 'Commit it.\n' })
    expect(await textAt(project, '.claude/commands/git/commit.md')).toContain('Commit it.\n')
  })

  it('changes what is given and keeps every other byte', async () => {
    const text = '---\nname: "debugging"   # quoted\nx-unknown: [1,2]\ndescription: Old\n---\n\n# Body\n'
    const file = await put(user, '.claude/skills/debugging/SKILL.md', text)
    await chmod(file, 0o600)
    expect(codeOf(await change('debugging', { content: '# New\n' }))).toBe('ok')
    expect(await readFile(file, 'utf8')).toBe(text.replace('# Body', '# New'))
    expect(codeOf(await change('debugging', { description: 'New' }))).toBe('ok')
    expect(await readFile(file, 'utf8')).toBe(text.replace('# Body', '# New').replace('Old', 'New'))
    expect((await lstat(file)).mode & 0o777).toBe(0o600)
    expect(codeOf(await change('debugging', { metadata: { tags: ['a'], version: '1' } }))).toBe('ok')
    const after = await change('debugging', { metadata: { version: null } })
    expect(after).toMatchObject({ value: { metadata: { tags: ['a'] }, version: null } })
  })

  it('takes a content with front matter as the whole file', async () => {
    await put(user, '.claude/skills/debugging/SKILL.md', SKILL)
    const content = '---\nname: debugging\nlicense: MIT\n---\nBody'
    await create('debugging', { content })
    expect(await textAt(user, '.claude/skills/debugging/SKILL.md')).toBe(content)
    const broken = await create('debugging', { content: '---\na: [\n---\nBody', priority: 1 })
    expect(broken).toMatchObject({ ok: false, error: { code: 'invalid_input' } })
  })

  it('refuses to change front matter that it does not understand, and says how to go on', async () => {
    const text = '---\na: [\n---\nBody'
    const file = await put(user, '.claude/skills/broken/SKILL.md', text)
    const refused = await change('broken', { priority: 3 })
    expect(refused).toMatchObject({
      error: { code: 'skill_conflict', message: expect.stringContaining('Mend the file') },
    })
    expect(codeOf(await change('broken', { content: 'New body' }))).toBe('ok')
    expect(await readFile(file, 'utf8')).toBe(text.replace('Body', 'New body'))
    await writeFile(file, Buffer.from([0xff, 0xfe]))
    expect(codeOf(await change('broken', { content: 'x' }))).toBe('skill_conflict')
    expect(await readFile(file)).toEqual(Buffer.from([0xff, 0xfe]))
  })

  it('leaves nothing behind when it refuses, and no file beside the skill when it does not', async () => {
    expect(codeOf(await create('large', { content: 'x'.repeat(SKILL_FILE_BYTES_MAX + 1) }))).toBe('too_large')
    expect(codeOf(await change('none', { content: 'x' }))).toBe('skill_not_found')
    expect(existsSync(join(user.folder, '.claude'))).toBe(false)
    await create('debugging', { content: 'x' })
    expect(await readdir(join(user.folder, '.claude/skills/debugging'))).toEqual(['SKILL.md'])
    await put(user, '.claude/skills/huge/SKILL.md', 'x'.repeat(SKILL_FILE_BYTES_MAX + 1))
    expect(codeOf(await files.read(spot('huge')))).toBe('too_large')
  })

  it('says that the disk refuses', async ({ skip }) => {
    if (process.getuid?.() === 0) skip('root may write everywhere')
    await put(user, '.claude/skills/debugging/SKILL.md', SKILL)
    await chmod(join(user.folder, '.claude/skills/debugging'), 0o500)
    expect(codeOf(await change('debugging', { content: 'x' }))).toBe('storage_failed')
    await chmod(join(user.folder, '.claude/skills/debugging'), 0o700)
  })

  it('keeps what each of many writers has written, whoever is first', async () => {
    await put(user, '.claude/skills/debugging/SKILL.md', SKILL)
    const keys = Array.from({ length: 20 }, (_, i) => `key-${i}`)
    const results = await Promise.all(keys.map((key) => change('debugging', { metadata: { [key]: 'x' } })))
    expect(results.map(codeOf)).toEqual(keys.map(() => 'ok'))
    const read = await files.read(spot('debugging'))
    expect(Object.keys(read.ok ? read.value.metadata : {}).toSorted()).toEqual([...keys, 'tags'].toSorted())
  })
})

describe('switching a skill off and on', () => {
  it.each([
    ['debugging', '.claude/skills/debugging/SKILL.md'],
    ['.claude/commands/git/commit', '.claude/commands/git/commit.md'],
  ])('takes %s out of sight of agents and brings it back byte for byte', async (path, file) => {
    await put(user, file, SKILL)
    expect(codeOf(await files.setEnabled(spot(path), false))).toBe('ok')
    expect([existsSync(join(user.folder, file)), await textAt(user, `${file}.disabled`)]).toEqual([false, SKILL])
    expect(codeOf(await change(path, { description: 'While off' }))).toBe('ok')
    expect((await listed())[0]).toContain('(off)')
    expect(codeOf(await files.setEnabled(spot(path), true))).toBe('ok')
    expect(codeOf(await files.setEnabled(spot(path), true))).toBe('ok')
    expect(await textAt(user, file)).toBe(SKILL.replace('Finds bugs', 'While off'))
    expect(await readdir(dirname(join(user.folder, file)))).toHaveLength(1)
  })

  it('overwrites nothing that lies where it would be set aside', async () => {
    const file = await put(user, '.claude/skills/debugging/SKILL.md', SKILL)
    await put(user, '.claude/skills/debugging/SKILL.md.disabled', 'older')
    expect(codeOf(await files.setEnabled(spot('debugging'), false))).toBe('skill_conflict')
    expect([await readFile(file, 'utf8'), await readFile(`${file}.disabled`, 'utf8')]).toEqual([SKILL, 'older'])
    expect(await listed()).toEqual(['.claude/skills debugging'])
  })

  it('goes on where a crash has left one file under both names', async () => {
    const file = await put(user, '.claude/skills/debugging/SKILL.md', SKILL)
    await link(file, `${file}.disabled`)
    expect(codeOf(await files.setEnabled(spot('debugging'), false))).toBe('ok')
    expect(await readdir(dirname(file))).toEqual(['SKILL.md.disabled'])
  })
})

describe('removing a skill', () => {
  it('keeps a copy with all that was in its folder, where no agent looks', async () => {
    await put(user, '.codex/skills/team/debugging/SKILL.md', SKILL)
    await put(user, '.codex/skills/team/debugging/scripts/run.sh', 'echo')
    const removed = await files.remove(spot('.codex/skills/team/debugging'))
    const keptAt = removed.ok ? removed.value.keptAt : ''
    expect(keptAt).toContain('/.codex/skills/.rookery-removed/team__debugging.')
    expect([
      await readFile(join(keptAt, 'SKILL.md.disabled'), 'utf8'),
      await readFile(join(keptAt, 'scripts/run.sh'), 'utf8'),
    ]).toEqual([SKILL, 'echo'])
    expect(await listed()).toEqual([])
    expect(await textAt(user, '.codex/skills/.rookery-removed/.gitignore')).toBe('*\n')
    expect(codeOf(await files.remove(spot('.codex/skills/team/debugging')))).toBe('skill_not_found')
  })

  it('keeps a command, and makes room for one of the same name', async () => {
    for (let i = 0; i < 2; i++) {
      await create('.claude/commands/git/commit', { content: `Commit ${i}` })
      const removed = await files.remove(spot('.claude/commands/git/commit'))
      expect(await readFile(removed.ok ? removed.value.keptAt : '', 'utf8')).toBe(`Commit ${i}`)
    }
    expect(await listed()).toEqual([])
  })
})

describe('watching', () => {
  it('tells of what others write, remove and add', async () => {
    await put(user, '.claude/skills/debugging/SKILL.md', SKILL)
    let told = Promise.withResolvers<void>()
    const watch = files.watch(() => told.resolve())
    try {
      expect(watch.set((await files.scan([user])).folders)).toBe(0)
      for (const act of [
        () => put(user, '.claude/skills/debugging/SKILL.md', 'changed'),
        () => put(user, '.claude/skills/second/SKILL.md', SKILL),
        () => rm(join(user.folder, '.claude/skills/second'), { recursive: true }),
      ]) {
        told = Promise.withResolvers()
        await act()
        await told.promise
      }
    } finally {
      watch.close()
    }
  })

  it('says how many folders it cannot follow', () => {
    const watch = files.watch(() => undefined)
    const many = Array.from({ length: 2000 }, () => join(user.folder))
    expect(watch.set([...many, '/no/such/folder'])).toBe(1)
    watch.close()
  })
})
