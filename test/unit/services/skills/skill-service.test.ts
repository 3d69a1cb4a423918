import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { z } from 'zod'
import type { Actor } from '../../../../crdt/actor.ts'
import type { Capability } from '../../../../crdt/capability.ts'
import { domainError } from '../../../../crdt/errors.ts'
import { ProjectId, type PeerId } from '../../../../crdt/ids.ts'
import { machineIdOf } from '../../../../crdt/machine-id.ts'
import { err, ok, type Result } from '../../../../crdt/result.ts'
import { createSkillFiles } from '../../../../node/adapters/skills/skill-files.ts'
import type { AuditEntry } from '../../../../node/ports/audit.ts'
import { createRpc } from '../../../../node/services/rpc/rpc-service.ts'
import type { Rpc } from '../../../../node/services/rpc/rpc.ts'
import { createSkillService, type Skills } from '../../../../node/services/skills/skill-composition.ts'
import { parseSkillPath } from '../../../../node/services/skills/skill-places.ts'
import { createMemoryNetwork, type MemoryNetwork } from '../../../support/memory-network.ts'
import { ALL_CAPABILITIES, localActor, SimMesh, type SimNode } from '../../../support/services-mesh.ts'

const PROJECT = ProjectId.parse('00000000-0000-4000-8000-000000000001')
const PAGE = { page: 1, perPage: 100 }

type Seat = {
  readonly node: SimNode
  readonly skills: Skills
  readonly rpc: Rpc
  readonly home: string
  readonly machine: string
  readonly actor: Actor
  readonly audited: AuditEntry[]
  readonly policy: { refuses: (access: string) => string | undefined }
}

let folder: string
let mesh: SimMesh
let network: MemoryNetwork
let here: Seat
let there: Seat
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'rk-skills-'))
  mesh = new SimMesh()
  network = createMemoryNetwork()
  here = await sit(mesh.add(1))
  there = await sit(mesh.add(2))
  network.connect(here.node.peer, there.node.peer)
})
afterEach(async () => {
  for (const { skills } of [here, there]) skills.stop()
  await rm(folder, { recursive: true })
})

async function sit(node: SimNode, capabilities: readonly Capability[] = ALL_CAPABILITIES): Promise<Seat> {
  const { peer, log, events } = node
  const home = join(folder, peer)
  await mkdir(home)
  const port = network.join(peer)
  const audited: AuditEntry[] = []
  const policy: Seat['policy'] = { refuses: () => undefined }
  const { clock } = mesh
  const hasCapability = (member: PeerId, capability: Capability): boolean =>
    mesh.membership().members.get(member)?.capabilities.has(capability) ?? capabilities.includes(capability)
  const rpc = createRpc({
    network: port,
    clock,
    log,
    hasCapability,
    onRequest: (from, action, actor, refused) =>
      void audited.push({ action, actor, from, outcome: refused === undefined ? 'allowed' : 'denied' }),
  })
  const project = { id: PROJECT, paths: { [peer]: join(home, 'app') } }
  const skills = createSkillService({
    self: peer,
    machines: {
      nodeOf: async (id) => {
        const found = mesh.nodes.find((one) => machineIdOf(one.peer) === id)
        return found
          ? ok({ machineId: machineIdOf(found.peer), peer: found.peer })
          : err(domainError('machine_not_found'))
      },
    },
    projects: { all: async () => [project as never] },
    files: createSkillFiles(),
    home,
    rpc,
    connected: () => port.connected(),
    refusal: ({ access, from }) => (from === peer ? undefined : policy.refuses(access)),
    audit: { record: async (entry) => void audited.push(entry) },
    events,
    clock,
    log,
  })
  const actor: Actor = { ...localActor(node), kind: 'user', id: 'ada', tokenId: 'token' }
  return { node, skills, rpc, home, machine: machineIdOf(peer), actor, audited, policy }
}

async function put({ home }: Seat, path: string, text: string): Promise<string> {
  const file = join(home, path)
  await mkdir(dirname(file), { recursive: true })
  await writeFile(file, text)
  return file
}
const codeOf = (result: Result<unknown>): string => (result.ok ? 'ok' : result.error.code)
/** Everything that changes something, asked of the other machine. */
const changes = (actor: Actor): Promise<Result<unknown>>[] => {
  const { skills } = here
  const { machine } = there
  return [
    skills.save(actor, machine, { path: 'x', content: 'x' }),
    skills.change(actor, machine, 'debugging', { content: 'x' }),
    skills.toggle(actor, machine, 'debugging'),
    skills.bulk(actor, machine, [{ path: 'debugging', enabled: false }]),
    skills.remove(actor, machine, 'debugging'),
  ]
}
const codes = async (asked: readonly Promise<Result<unknown>>[]): Promise<string[]> =>
  (await Promise.all(asked)).map(codeOf)

describe('skills of another machine', () => {
  it('are read and changed by that machine, which writes down who asked before it does', async () => {
    const file = await put(there, '.claude/skills/debugging/SKILL.md', '# Debugging')
    const { actor, skills } = here
    expect(await skills.list(actor, there.machine, {}, PAGE)).toMatchObject({
      value: { total: 1, items: [{ path: 'debugging' }] },
    })
    expect(codeOf(await skills.change(actor, there.machine, 'debugging', { content: 'New' }))).toBe('ok')
    expect(await readFile(file, 'utf8')).toBe('New')
    expect(there.audited.map(({ action, from, outcome }) => [action, from === here.node.peer, outcome])).toEqual([
      ['skill.list', true, 'allowed'],
      ['skill.change', true, 'allowed'],
    ])
    expect(here.audited).toEqual([])
  })

  it('are refused by its own policy, for writing alone or altogether, and nothing is touched', async () => {
    const file = await put(there, '.claude/skills/debugging/SKILL.md', '# Debugging')
    there.policy.refuses = (access) => (access === 'write' ? 'Not here.' : undefined)
    expect(new Set(await codes(changes(here.actor)))).toEqual(new Set(['machine_refused']))
    expect(codeOf(await here.skills.get(here.actor, there.machine, 'debugging'))).toBe('ok')
    there.policy.refuses = () => 'Not here.'
    expect(await here.skills.get(here.actor, there.machine, 'debugging')).toMatchObject({
      error: { message: 'Not here.' },
    })
    expect(await readFile(file, 'utf8')).toBe('# Debugging')
    expect(there.audited.filter(({ outcome }) => outcome === 'denied')).toHaveLength(6)
    // Its own user is not another.
    expect(codeOf(await there.skills.toggle(there.actor, there.machine, 'debugging'))).toBe('ok')
  })

  it('need the ability, here and, whatever the asking node says, there', async () => {
    await put(there, '.claude/skills/debugging/SKILL.md', '# Debugging')
    const reader: Actor = { ...here.actor, abilities: ['skill:read'] }
    expect(new Set(await codes(changes(reader)))).toEqual(new Set(['forbidden']))
    const asked = (method: string, actor: Actor) =>
      here.rpc.call(there.node.peer, method, { actor, input: { path: 'debugging' }, reply: z.unknown() })
    expect(codeOf(await asked('skill.remove', reader))).toBe('forbidden')
    expect(codeOf(await asked('skill.get', { ...reader, abilities: ['skill:write'] }))).toBe('forbidden')
    expect(codeOf(await asked('skill.get', { ...reader, gateway: there.node.peer }))).toBe('machine_refused')
  })

  it('cannot be had while the machine is away, and not at all of one that is none', async () => {
    network.disconnect(here.node.peer, there.node.peer)
    expect(
      new Set(await codes([here.skills.list(here.actor, there.machine, {}, PAGE), ...changes(here.actor)])),
    ).toEqual(new Set(['machine_offline']))
    expect(codeOf(await here.skills.list(here.actor, 'nobody', {}, PAGE))).toBe('machine_not_found')
  })

  it('fit into one answer, however much each of them says', async () => {
    const text = (i: number) =>
      `---\nname: ${'名'.repeat(120)}\ndescription: ${'詳'.repeat(4000)}\ntags: [${Array.from({ length: 50 }, (_, n) => `${'札'.repeat(60)}${n}`).join(', ')}]\n---\n${i}`
    for (let i = 0; i < 120; i++) await put(there, `.claude/skills/${'長'.repeat(60)}${i}/SKILL.md`, text(i))
    const page = await here.skills.list(here.actor, there.machine, {}, PAGE)
    expect(page.ok && [page.value.items.length, page.value.total]).toEqual([100, 120])
  })

  it('are told of whatever a file claims about itself', async () => {
    const { utimes } = await import('node:fs/promises')
    await utimes(await put(there, '.claude/skills/old/SKILL.md', '# Old'), 0, -1e9)
    await utimes(await put(there, '.claude/skills/future/SKILL.md', '# Future'), 0, 1e10)
    await put(
      there,
      '.claude/skills/odd/SKILL.md',
      '---\nmetadata: {__proto__: 1, priority: 1e999, tags: {a: 1}, version: [1]}\n---\n',
    )
    const page = await here.skills.list(here.actor, there.machine, {}, PAGE)
    expect(page.ok && page.value.items.map(({ path, priority, tags }) => [path, priority, tags])).toEqual([
      ['future', 0, []],
      ['odd', 0, []],
      ['old', 0, []],
    ])
    expect(codeOf(await here.skills.get(here.actor, there.machine, 'odd'))).toBe('ok')
  })
})

describe('news of skills', () => {
  const told = ({ node }: Seat) => node.told.filter(({ type }) => type === 'skills.changed')

  it('are told here and on the other members, of the machine that tells them', async () => {
    const machineId = machineIdOf(there.node.peer)
    // What is there at the start is no news.
    await there.skills.list(there.actor, there.machine, {}, PAGE)
    expect(codeOf(await there.skills.save(there.actor, there.machine, { path: `${PROJECT}/x`, content: 'x' }))).toBe(
      'skill_conflict',
    )
    await mkdir(join(there.home, 'app'))
    expect(codeOf(await there.skills.save(there.actor, there.machine, { path: `${PROJECT}/x`, content: 'x' }))).toBe(
      'ok',
    )
    await there.skills.list(there.actor, there.machine, {}, PAGE)
    const event = { type: 'skills.changed', machineId, projectIds: [PROJECT] }
    expect(told(there)).toEqual([event])
    await mesh.clock.advance(3000)
    await expect.poll(() => told(here)).toEqual([event])
  })

  it('are believed of the own machine only, and not more than a few a minute', async () => {
    const actor: Actor = { ...here.actor, abilities: ['skill:read'] }
    const send = (input: object) =>
      here.rpc.call(there.node.peer, 'skill.changed', { actor, input, reply: z.unknown() })
    expect(codeOf(await send({ projects: [], machineId: there.machine }))).toBe('invalid_input')
    const answers = await Promise.all(Array.from({ length: 30 }, () => send({ projects: [] })))
    const more = await Promise.all(Array.from({ length: 31 }, () => send({ projects: [] })))
    expect(new Set([...answers, ...more].map(codeOf))).toEqual(new Set(['ok', 'rate_limited']))
    expect(told(there).every((event) => 'machineId' in event && event.machineId === here.machine)).toBe(true)
  })
})

describe('the path of a skill', () => {
  it.each([
    ['debugging', null, '.claude/skills', 'debugging'],
    ['~/.claude/skills/debugging/SKILL.md', null, '.claude/skills', 'debugging'],
    ['.claude/commands/git/commit.md', null, '.claude/commands', 'git/commit'],
    ['.codex/skills/a/b/c/d', null, '.codex/skills', 'a/b/c/d'],
    [`${PROJECT}/deploy`, PROJECT, '.claude/skills', 'deploy'],
    [`${PROJECT}/.opencode/commands/x.md.disabled`, PROJECT, '.opencode/commands', 'x'],
    [PROJECT, null, '.claude/skills', PROJECT],
  ])('%s says where it is', (path, projectId, place, name) => {
    const address = parseSkillPath(path)
    expect([address?.projectId, address?.place.folder, address?.name]).toEqual([projectId, place, name])
  })

  it.each([
    '',
    '/',
    '.',
    '..',
    '../x',
    'a/..',
    './a',
    'a//b',
    '.hidden',
    'a/b',
    '.codex/prompts/a/b',
    '.claude/skills',
    '.claude/skills/',
    'a\u0000',
    'a\nb',
    'a\\b',
    '/etc/passwd',
    '.codex/skills/a/b/c/d/e',
    `${PROJECT}/.codex/prompts/x`,
    `${PROJECT}/../x`,
    '\ud800',
    'x'.repeat(201),
    'x/'.repeat(600),
    '.claude/commands/.git/x',
    '~/../x',
  ])('[A-X2] %j leads nowhere', (path) => {
    expect(parseSkillPath(path)).toBe(undefined)
  })
})
