import type { Actor } from '../../../../crdt/actor.ts'
import { ProjectId } from '../../../../crdt/ids.ts'
import { domainError } from '../../../../crdt/errors.ts'
import type { FileLock } from '../../../../crdt/lock.ts'
import { DEFAULT_PROJECT_SETTINGS, type Project } from '../../../../crdt/project.ts'
import { ok } from '../../../../crdt/result.ts'
import { lockRoutes } from '../../../../gateway/dialects/claudenest/routes-locks.ts'
import type { ClaudenestDeps } from '../../../../gateway/dialects/claudenest/deps.ts'
import { lockSpaceOf, lockTarget, lockWish } from '../../../../node/services/locks/lock-target.ts'
import { crypto, identity } from '../../../support/identity.ts'
import type { Report, Scenario } from '../scenario.ts'

export const lockEdgeScenarios: readonly Scenario[] = [
  { id: 'lock-routes', says: 'The gateway passes on what was asked, and says what an answer is worth.', run: routes },
  { id: 'lock-paths', says: 'One path is one lock, and what is no path, or no time, is refused.', run: paths },
]

const PROJECT = ProjectId.parse('00000000-0000-7000-8000-000000000000')
const NOW_MS = 1_800_000_000_000
const iso = (ms: number): string => new Date(NOW_MS + ms).toISOString()
const lock = {
  projectId: PROJECT,
  path: 'a',
  pattern: null,
  instanceId: 'one',
  reason: null,
  lockedAt: iso(0),
  expiresAt: iso(60_000),
  node: identity(1).peer,
  tokenId: 't',
  guarantee: 'provisional',
  missingVoters: ['desk'],
  leaseId: 'a'.repeat(32),
  fencingToken: null,
} as unknown as FileLock

/** What the service would have been asked; undefined when the gateway refused. */
async function asked(path: string, body: object): Promise<{ input: unknown; data: unknown } | undefined> {
  let input: unknown
  const record = async (_actor: unknown, _project: unknown, wish: unknown) => {
    input = wish
    return ok(lock)
  }
  const holder = { instanceId: 'two', expiresAt: iso(0), guarantee: 'provisional' as const }
  const failed = [{ path: 'b', error: domainError('lock_held', { details: { holder } }) }]
  const locks = {
    acquire: record,
    extend: record,
    release: record,
    check: async () => ok(lock),
    bulk: async (...wish: Parameters<typeof record>) => {
      await record(...wish)
      return ok({ acquired: [lock], failed })
    },
  }
  const actor: Actor = { kind: 'user', id: 'u', tokenId: 't', abilities: ['*'], gateway: identity(1).peer }
  const raw = {
    params: { project: PROJECT },
    query: {},
    body,
    header: () => undefined,
    origin: null,
    address: 'loopback',
    nowMs: NOW_MS,
    signal: LIVE,
  }
  const route = lockRoutes.find((one) => one.method === 'POST' && one.path === `/api/projects/:project/locks${path}`)
  const deps = { services: { locks } } as unknown as ClaudenestDeps
  const answer = await route?.handle(deps, { ...raw, actor })
  return answer?.ok ? { input, data: answer.value.data } : undefined
}

const LIVE = new AbortController().signal

const ABILITIES: Readonly<Record<string, string>> = {
  'GET ': 'lock:read',
  'POST ': 'lock:write',
  'POST /check': 'lock:read',
  'POST /extend': 'lock:write',
  'POST /bulk': 'lock:write',
  'POST /release': 'lock:write',
  'POST /release-by-instance': 'lock:write',
  'POST /force-release': 'lock:admin',
}

async function routes({ must }: Report): Promise<void> {
  for (const { method, path, policy } of lockRoutes) {
    const ability = typeof policy === 'string' ? policy : policy.ability
    const name = `${method} ${path.replace('/api/projects/:project/locks', '')}`
    must('T2', ability === ABILITIES[name], `${name} is for ${ability}`)
  }
  const says = async (path: string, body: object): Promise<string> => JSON.stringify((await asked(path, body))?.input)
  const who = { path: 'a', instance_id: 'one' }
  for (const [path, body] of Object.entries({ '/extend': { ...who, additional_minutes: 5 }, '/release': who })) {
    must('L2.8', !(await says(path, { ...body, fencing_token: null })).includes('fencing'), `null is a proof (${path})`)
    must('L2.8', (await says(path, { ...body, fencing_token: 7 })).includes('"fencingToken":7'), `no proof (${path})`)
  }
  const [past, late] = [iso(-60_000), iso(25 * 3_600_000)]
  for (const expires_at of [past, late]) {
    must('L2.8', (await asked('', { ...who, expires_at })) === undefined, `a lock lasts until ${expires_at}`)
  }
  const day = 24 * 60 + 1
  must('L2.8', (await asked('/extend', { ...who, additional_minutes: day })) === undefined, 'a lock of more than a day')
  must('L2.9', (await asked('', { ...who, path: '' })) === undefined, 'a lock of no path')
  must('L2.8', (await says('', { ...who, exclusive: true })).includes('"exclusive":true'), 'certainty is not asked for')
  const many = { instance_id: 'one', paths: Array.from({ length: 201 }, (_, i) => `${i}`) }
  must('L2.4', (await asked('/bulk', many)) === undefined, 'more paths than a lease has')
  const all = { instance_id: 'one', paths: ['a'], all_or_nothing: true }
  must('L2.8', (await says('/bulk', all)).includes('"allOrNothing":true'), 'some of what was wanted together')
  const checked = JSON.stringify((await asked('/check', { path: 'a' }))?.data)
  const isHonest = checked.includes('"guarantee":"provisional"') && checked.includes('"missing_voters":["desk"]')
  must('L2.8', isHonest, `a provisional lock is told as ${checked}`)
  const bulk = JSON.stringify((await asked('/bulk', all))?.data)
  must('L2.8', bulk.split('"guarantee":"provisional"').length === 3, `a provisional lock refuses as ${bulk}`)
}

const project = (fields: Partial<Project>): Project =>
  ({ id: PROJECT, repository: null, settings: DEFAULT_PROJECT_SETTINGS, ...fields }) as Project

async function paths({ must }: Report): Promise<void> {
  const plain = { key: 'p', caseFold: false }
  const keyOf = (path: string, space = plain): string => {
    const target = lockTarget(space, path)
    return target.ok ? target.value.key : 'refused'
  }
  for (const path of ['', '/a', 'a/../b', '..', 'a\\b']) {
    must('L2.9', keyOf(path) === 'refused', `${path} is a path`)
  }
  for (const path of ['a/b', './a/b', 'a//b', 'a/./b', 'a/b/'])
    must('L2.9', keyOf(path) === 'p/a/b', `${path} is another`)
  must('L2.9', keyOf('a/*/b') === 'p/a' && keyOf('./') === 'p', 'a pattern covers less than it can match')
  const longer = keyOf('\u0130'.repeat(1000), { key: 'p', caseFold: true })
  must('L2.9', longer === 'refused', 'a path that grows when it is folded is asked for')
  const folded = keyOf('A/B', { key: 'p', caseFold: true })
  must(
    'L2.9',
    folded === 'p/a/b' && keyOf('A/B') === 'p/A/B',
    'spelling counts where it must not, or not where it must',
  )
  const repository = { rootCommit: 'f'.repeat(40), remote: 'git@host:x' }
  const [one, two] = ['1', '2'].map((n) => {
    const id = ProjectId.parse(`00000000-0000-7000-8000-00000000000${n}`)
    return lockSpaceOf(crypto, project({ id, repository })).key
  })
  must('M19', one === two, 'one repository is two sets of locks')
  const wish = (input: object, settings = {}) =>
    lockWish({ instanceId: 'one', ...input }, project({ settings: { ...DEFAULT_PROJECT_SETTINGS, ...settings } }))
  for (const durationMinutes of [0, 1.5, 24 * 60 + 1, Number.NaN]) {
    must('L2.8', !wish({ durationMinutes }).ok, `a lock lasts ${durationMinutes} minutes`)
  }
  must('L2.8', !wish({ reason: 'x'.repeat(257) }).ok, 'a reason that no record carries')
  const isStrict = (input: object, settings = {}): boolean => {
    const parsed = wish(input, settings)
    return parsed.ok && parsed.value.isStrict
  }
  must('L2.8', isStrict({ exclusive: true }), 'certainty is not asked for')
  must('L2.8', isStrict({}, { lockPolicy: 'strict' }), 'the policy of the project does not count')
  must('L2.8', !isStrict({}, { lockPolicy: 'local-first' }), 'every lock needs a quorum')
}
