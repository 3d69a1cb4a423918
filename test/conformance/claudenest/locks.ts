import { expect } from 'vitest'
import type { Json } from '../../support/gateway-lab.ts'
import { call, data, meets, newProject, refusal, theLab } from './harness.ts'

const lock = (project: string, path: string, instance_id = 'instance_1', more: object = {}) =>
  data('POST', `/api/projects/${project}/locks`, { body: { path, instance_id, ...more } })

/** What the document does not know: a lock that no quorum stands behind would say `provisional` here. */
const CERTIFIED = { guarantee: 'certified', missing_voters: [] }

export function lockRequirements(): void {
  meets('GET /api/projects/:project/locks', 'lists locks with the seconds they last', async () => {
    const project = await newProject()
    await lock(project, 'src/auth.php', 'instance_1', { reason: 'Refactoring', duration_minutes: 30 })
    const [listed] = await data('GET', `/api/projects/${project}/locks`)
    expect(listed).toMatchObject({ path: 'src/auth.php', locked_by: 'instance_1', reason: 'Refactoring' })
    expect(listed.remaining_seconds).toBeGreaterThan(29 * 60)
    expect(listed.remaining_seconds).toBeLessThanOrEqual(30 * 60)
  })
  meets('GET /api/projects/:project/locks', 'says how surely each is held', async () => {
    const project = await newProject()
    await lock(project, 'a.ts')
    expect(await data('GET', `/api/projects/${project}/locks`)).toMatchObject([CERTIFIED])
  })
  const acquire = 'POST /api/projects/:project/locks'
  meets(acquire, 'answers 201 with the lock', async () => {
    const facts = { path: 'src/auth.php', locked_by: 'instance_1', is_locked: true }
    expect(await lock(await newProject(), 'src/auth.php')).toMatchObject({ ...facts, lock: facts })
  })
  meets(acquire, 'answers 409 LCK_001 to another instance, with holder and expiry', async () => {
    const project = await newProject()
    await lock(project, 'src/auth.php', 'instance_1', { reason: 'Refactoring' })
    const body = { path: 'src/auth.php', instance_id: 'instance_2' }
    const { status, json } = await call('POST', `/api/projects/${project}/locks`, { body })
    expect([status, json.error.code, json.error.details.holder]).toEqual([
      409,
      'LCK_001',
      { instance_id: 'instance_1', reason: 'Refactoring', expires_at: expect.any(String), guarantee: 'certified' },
    ])
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
  const check = 'POST /api/projects/:project/locks/check'
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
    expect(await data('POST', `/api/projects/${await newProject()}/locks/check`, { body })).toEqual({
      ...body,
      ...nobody,
      ...unsure,
    })
  })
  extendRequirements()
  bulkRequirements()
  releaseRequirements()
}

function extendRequirements(): void {
  const extend = 'POST /api/projects/:project/locks/extend'
  const extendBy = async (more: object) => {
    const project = await newProject()
    const before = await lock(project, 'src/auth.php')
    const body = { path: 'src/auth.php', instance_id: 'instance_1', ...more }
    const after = await data('POST', `/api/projects/${project}/locks/extend`, { body })
    return Math.round((Date.parse(after.expires_at) - Date.parse(before.expires_at)) / 60_000)
  }
  meets(extend, 'extends', async () => expect(await extendBy({ additional_minutes: 15 })).toBe(15))
  meets(extend, 'says how surely it is held', async () => {
    const project = await newProject()
    await lock(project, 'a.ts')
    const body = { path: 'a.ts', instance_id: 'instance_1', additional_minutes: 5 }
    expect(await data('POST', `/api/projects/${project}/locks/extend`, { body })).toMatchObject(CERTIFIED)
  })
  meets(extend, 'takes minutes for additional_minutes', async () => expect(await extendBy({ minutes: 15 })).toBe(15))
}

function bulkRequirements(): void {
  const bulk = 'POST /api/projects/:project/locks/bulk'
  const paths = ['src/auth.php', 'src/User.php']
  const heldByAnother = async () => {
    const project = await newProject()
    await lock(project, 'src/User.php', 'instance_2', { reason: 'Adding fields' })
    return project
  }
  meets(bulk, 'answers what it got, what not, and why', async () => {
    const body = { paths, instance_id: 'instance_1', reason: 'Auth refactor', duration_minutes: 30 }
    const answer = await data('POST', `/api/projects/${await heldByAnother()}/locks/bulk`, { body })
    expect(answer).toMatchObject({
      acquired: ['src/auth.php'],
      failed: ['src/User.php'],
      failed_details: { 'src/User.php': { locked_by: 'instance_2', reason: 'Adding fields', code: 'LCK_001' } },
    })
  })
  meets(bulk, 'says how surely each is held', async () => {
    const body = { paths, instance_id: 'instance_1' }
    const { locks, failed_details } = await data('POST', `/api/projects/${await heldByAnother()}/locks/bulk`, { body })
    expect(locks).toMatchObject([CERTIFIED])
    expect(failed_details['src/User.php']).toMatchObject({ guarantee: 'certified' })
  })
  meets(bulk, 'takes nothing with all_or_nothing when one is held', async () => {
    const project = await heldByAnother()
    const body = { paths, instance_id: 'instance_1', all_or_nothing: true }
    expect((await data('POST', `/api/projects/${project}/locks/bulk`, { body })).acquired).toEqual([])
    const held = await data('GET', `/api/projects/${project}/locks`)
    expect(held.map((each: Json) => each.path)).toEqual(['src/User.php'])
  })
}

function releaseRequirements(): void {
  const release = 'POST /api/projects/:project/locks/release'
  meets(release, 'releases', async () => {
    const project = await newProject()
    await lock(project, 'a.ts')
    // As a provisional lock says it of itself.
    const body = { path: 'a.ts', instance_id: 'instance_1', fencing_token: null }
    expect(await data('POST', `/api/projects/${project}/locks/release`, { body })).toBe(null)
    expect(await data('GET', `/api/projects/${project}/locks`)).toEqual([])
  })
  meets(release, 'answers 409 LCK_001 to an instance that does not hold it', async () => {
    const project = await newProject()
    await lock(project, 'a.ts')
    const body = { path: 'a.ts', instance_id: 'instance_2' }
    expect(await refusal('POST', `/api/projects/${project}/locks/release`, { body })).toEqual([409, 'LCK_001'])
  })
  const force = 'POST /api/projects/:project/locks/force-release'
  meets(force, 'releases whoever holds it', async () => {
    const project = await newProject()
    await lock(project, 'a.ts', 'instance_9')
    expect(await data('POST', `/api/projects/${project}/locks/force-release`, { body: { path: 'a.ts' } })).toBe(null)
    expect(await data('GET', `/api/projects/${project}/locks`)).toEqual([])
  })
  meets(force, 'needs lock:admin', async () => {
    const project = await newProject()
    await lock(project, 'a.ts')
    const { token } = await theLab().tokenWith(['lock:read', 'lock:write'])
    const options = { token, body: { path: 'a.ts' } }
    expect(await refusal('POST', `/api/projects/${project}/locks/force-release`, options)).toEqual([403, 'AUTH_006'])
    expect(await data('GET', `/api/projects/${project}/locks`)).toHaveLength(1)
  })
}
