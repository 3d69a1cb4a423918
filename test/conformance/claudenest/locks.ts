import { expect } from 'vitest'
import type { Json } from '../../support/gateway-lab.ts'
import { call, data, example, meets, newProject, refusal, refuses, theLab, UNKNOWN } from './harness.ts'

const lock = (project: string, path: string, instance_id = 'instance_1', more: object = {}) =>
  data('POST', `/api/projects/${project}/locks`, { body: { path, instance_id, ...more } })

/** What the document does not know: a lock that no quorum stands behind would say `provisional` here. */
const CERTIFIED = { guarantee: 'certified', missing_voters: [] }

const inProject = async () => ({ params: { project: await newProject() } })
const nowhere = () => ({ params: { project: UNKNOWN } })
/** A project in which an instance holds the file of the examples. */
async function held(by = 'instance_1'): Promise<{ params: { project: string } }> {
  const project = await newProject()
  await lock(project, 'src/auth.php', by)
  return { params: { project } }
}
const heldByAnother = () => held('instance_2')

export function lockRequirements(): void {
  const list = 'GET /api/projects/:project/locks'
  example(list, held)
  refuses(list, 'PRJ_001', nowhere)
  meets(list, 'says how long each lasts', async () => {
    const project = await newProject()
    await lock(project, 'src/auth.php', 'instance_1', { reason: 'Refactoring', duration_minutes: 30 })
    const [listed] = await data('GET', `/api/projects/${project}/locks`)
    expect(listed).toMatchObject({ path: 'src/auth.php', locked_by: 'instance_1', reason: 'Refactoring' })
    expect(listed.remaining_seconds).toBeGreaterThan(29 * 60)
    expect(listed.remaining_seconds).toBeLessThanOrEqual(30 * 60)
  })
  meets(list, 'says how surely each is held', async () => {
    const { project } = (await held()).params
    expect(await data('GET', `/api/projects/${project}/locks`)).toMatchObject([CERTIFIED])
  })
  acquireRequirements()
  checkRequirements()
  extendRequirements()
  bulkRequirements()
  releaseRequirements()
  byInstanceRequirements()
}

function acquireRequirements(): void {
  const acquire = 'POST /api/projects/:project/locks'
  example(acquire, inProject, (made) => expect([made.locked_by, made.is_locked]).toEqual(['instance_1', true]))
  refuses(acquire, 'PRJ_001', nowhere)
  refuses(acquire, 'LCK_001', heldByAnother)
  meets(acquire, 'names holder and expiry to another instance', async () => {
    const project = await newProject()
    await lock(project, 'src/auth.php', 'instance_1', { reason: 'Refactoring' })
    const body = { path: 'src/auth.php', instance_id: 'instance_2' }
    const { json } = await call('POST', `/api/projects/${project}/locks`, { body })
    expect(json.error.details.holder).toEqual({
      instance_id: 'instance_1',
      reason: 'Refactoring',
      expires_at: expect.any(String),
      guarantee: 'certified',
    })
  })
  meets(acquire, 'takes locked_by and expires_at for instance_id and duration_minutes', async () => {
    const expires_at = new Date(Date.now() + 10 * 60_000).toISOString()
    const body = { path: 'src/a.ts', locked_by: 'instance_4', expires_at }
    const made = await data('POST', `/api/projects/${await newProject()}/locks`, { body })
    expect(made.locked_by).toBe('instance_4')
    expect(Math.abs(Date.parse(made.expires_at) - Date.parse(expires_at))).toBeLessThan(61_000)
  })
  meets(acquire, 'says how surely it is held, and takes exclusive', async () => {
    expect(await lock(await newProject(), 'a.ts', 'instance_1', { exclusive: true })).toMatchObject({
      ...CERTIFIED,
      fencing_token: expect.any(Number),
      lock: CERTIFIED,
    })
  })
  meets(acquire, 'takes a pattern, and says what that covers', async () => {
    const project = await newProject()
    expect(await lock(project, 'src/**/*.ts')).toMatchObject({ path: 'src/', pattern: 'src/**/*.ts' })
    const body = { path: 'src/a.md', instance_id: 'instance_2' }
    expect(await refusal('POST', `/api/projects/${project}/locks`, { body })).toEqual([409, 'LCK_001'])
  })
  meets(acquire, 'knows a path by any spelling, and none outside the project', async () => {
    const project = await newProject()
    await lock(project, 'src/auth.php')
    const ask = (path: string) =>
      refusal('POST', `/api/projects/${project}/locks`, { body: { path, instance_id: 'instance_2' } })
    for (const path of ['./src//auth.php', 'src/./auth.php']) expect(await ask(path)).toEqual([409, 'LCK_001'])
    for (const path of ['../secret', 'src/../../secret', '/etc/passwd'])
      expect(await ask(path)).toEqual([422, 'VAL_001'])
  })
}

function checkRequirements(): void {
  const check = 'POST /api/projects/:project/locks/check'
  example(check, held, ({ locked }) => expect(locked).toBe(true))
  refuses(check, 'PRJ_001', nowhere)
  meets(check, 'tells of a lock, and how surely it is held', async () => {
    const project = await newProject()
    await lock(project, 'src/auth.php', 'instance_1', { reason: 'Refactoring' })
    expect(await data('POST', `/api/projects/${project}/locks/check`, { body: { path: 'src/auth.php' } })).toEqual({
      path: 'src/auth.php',
      locked: true,
      is_locked: true,
      locked_by: 'instance_1',
      reason: 'Refactoring',
      expires_at: expect.any(String),
      ...CERTIFIED,
    })
  })
  meets(check, 'tells that there is none', async () => {
    const body = { path: 'src/free.php' }
    const nobody = { locked: false, is_locked: false, locked_by: null, reason: null, expires_at: null }
    const unsure = { guarantee: null, missing_voters: [] }
    const path = `/api/projects/${await newProject()}/locks/check`
    expect(await data('POST', path, { body })).toEqual({ ...body, ...nobody, ...unsure })
  })
}

function extendRequirements(): void {
  const extend = 'POST /api/projects/:project/locks/extend'
  example(extend, held)
  refuses(extend, 'PRJ_001', nowhere)
  refuses(extend, 'LCK_001', heldByAnother)
  const extendBy = async (more: object) => {
    const project = await newProject()
    const before = await lock(project, 'src/auth.php')
    const body = { path: 'src/auth.php', instance_id: 'instance_1', ...more }
    const after = await data('POST', `/api/projects/${project}/locks/extend`, { body })
    return Math.round((Date.parse(after.expires_at) - Date.parse(before.expires_at)) / 60_000)
  }
  meets(extend, 'extends', async () => expect(await extendBy({ additional_minutes: 15 })).toBe(15))
  meets(extend, 'takes minutes for additional_minutes', async () => expect(await extendBy({ minutes: 15 })).toBe(15))
  meets(extend, 'says how surely it is held', async () => {
    const { project } = (await held()).params
    const body = { path: 'src/auth.php', instance_id: 'instance_1', additional_minutes: 5 }
    expect(await data('POST', `/api/projects/${project}/locks/extend`, { body })).toMatchObject(CERTIFIED)
  })
}

function bulkRequirements(): void {
  const bulk = 'POST /api/projects/:project/locks/bulk'
  const paths = ['src/auth.php', 'src/User.php']
  async function oneHeld(): Promise<{ params: { project: string } }> {
    const project = await newProject()
    await lock(project, 'src/User.php', 'instance_2', { reason: 'Adding fields' })
    return { params: { project } }
  }
  const ask = async (more: object = {}) => {
    const { project } = (await oneHeld()).params
    const body = { paths, instance_id: 'instance_1', ...more }
    return { project, answer: await data('POST', `/api/projects/${project}/locks/bulk`, { body }) }
  }
  example(bulk, oneHeld)
  refuses(bulk, 'PRJ_001', nowhere)
  meets(bulk, 'answers what it got, what not, and why', async () => {
    expect((await ask()).answer).toMatchObject({
      acquired: ['src/auth.php'],
      failed: ['src/User.php'],
      failed_details: { 'src/User.php': { locked_by: 'instance_2', reason: 'Adding fields', code: 'LCK_001' } },
    })
  })
  meets(bulk, 'says how surely each is held', async () => {
    const { locks, failed_details } = (await ask()).answer
    expect(locks).toMatchObject([CERTIFIED])
    expect(failed_details['src/User.php']).toMatchObject({ guarantee: 'certified' })
  })
  meets(bulk, 'takes nothing with all_or_nothing when one is held', async () => {
    const { project, answer } = await ask({ all_or_nothing: true })
    expect([answer.acquired, answer.failed]).toEqual([[], expect.arrayContaining(['src/User.php'])])
    const left = await data('GET', `/api/projects/${project}/locks`)
    expect(left.map((each: Json) => each.path)).toEqual(['src/User.php'])
  })
}

function releaseRequirements(): void {
  const release = 'POST /api/projects/:project/locks/release'
  example(release, held)
  refuses(release, 'PRJ_001', nowhere)
  refuses(release, 'LCK_001', heldByAnother)
  meets(release, 'releases', async () => {
    const { project } = (await held()).params
    // As a provisional lock says it of itself.
    const body = { path: 'src/auth.php', instance_id: 'instance_1', fencing_token: null }
    expect(await data('POST', `/api/projects/${project}/locks/release`, { body })).toBe(null)
    expect(await data('GET', `/api/projects/${project}/locks`)).toEqual([])
  })
  const force = 'POST /api/projects/:project/locks/force-release'
  example(force, held)
  refuses(force, 'PRJ_001', nowhere)
  meets(force, 'releases whoever holds it', async () => {
    const { project } = (await heldByAnother()).params
    const body = { path: 'src/auth.php' }
    expect(await data('POST', `/api/projects/${project}/locks/force-release`, { body })).toBe(null)
    expect(await data('GET', `/api/projects/${project}/locks`)).toEqual([])
  })
  meets(force, 'needs lock:admin', async () => {
    const { project } = (await held()).params
    const { token } = await theLab().tokenWith(['lock:read', 'lock:write'])
    const options = { token, body: { path: 'src/auth.php' } }
    expect(await refusal('POST', `/api/projects/${project}/locks/force-release`, options)).toEqual([403, 'AUTH_006'])
    expect(await data('GET', `/api/projects/${project}/locks`)).toHaveLength(1)
  })
}

function byInstanceRequirements(): void {
  const route = 'POST /api/projects/:project/locks/release-by-instance'
  example(route, held, (answer) => expect(answer.released_count).toBe(1))
  refuses(route, 'PRJ_001', nowhere)
  refuses(route, 'LCK_001', async () => ({
    ...(await held()),
    token: (await theLab().tokenWith(['lock:read', 'lock:write'])).token,
  }))
  meets(route, 'gives back all that the instance holds, and nothing of others', async () => {
    const project = await newProject()
    const body = { paths: ['a.ts', 'b.ts'], instance_id: 'instance_1' }
    await data('POST', `/api/projects/${project}/locks/bulk`, { body })
    await lock(project, 'c.ts')
    await lock(project, 'd.ts', 'instance_2')
    const ask = { body: { instance_id: 'instance_1' } }
    const answer = await data('POST', `/api/projects/${project}/locks/release-by-instance`, ask)
    expect(new Set(answer.released)).toEqual(new Set(['a.ts', 'b.ts', 'c.ts']))
    expect(answer).toMatchObject({ released_count: 3, failed: [], failed_details: {} })
    expect((await data('GET', `/api/projects/${project}/locks`)).map((each: Json) => each.path)).toEqual(['d.ts'])
    const again = await data('POST', `/api/projects/${project}/locks/release-by-instance`, ask)
    expect(again.released_count).toBe(0)
  })
}
