import { afterEach, describe, expect, it } from 'vitest'
import type { Actor } from '../../../../crdt/actor.ts'
import { accountsDoc } from '../../../../crdt/ids.ts'
import {
  createAccountService,
  type Accounts,
  type AccountServiceDeps,
} from '../../../../node/services/accounts/account-service.ts'
import { HASHES_AT_ONCE_MAX, HASHES_WAITING_MAX } from '../../../../node/services/accounts/hash-queue.ts'
import { accountDepsOf } from '../../../support/account-deps.ts'
import { codeOf, valueOf } from '../../../support/results.ts'
import { createSimHasher, localActor, settle, SimMesh, type SimNode } from '../../../support/services-mesh.ts'

const DAY_MS = 86_400_000
const ADA = { name: 'Ada Lovelace', email: 'Ada@Example.com', password: 'correct horse battery' }
const BOB = { name: 'Bob', email: 'bob@example.com', password: 'staple staple staple' }

const started: Accounts[] = []
afterEach(async () => {
  await Promise.all(started.splice(0).map((accounts) => accounts.stop()))
})

async function start(node: SimNode, options: Partial<AccountServiceDeps> = {}): Promise<Accounts> {
  const accounts = await createAccountService({ ...accountDepsOf(node), ...options })
  started.push(accounts)
  return accounts
}

/** A founder's gateway with its first user signed in. */
async function founded(options: Partial<AccountServiceDeps> = {}) {
  const mesh = new SimMesh()
  const node = mesh.add(1)
  const accounts = await start(node, options)
  const { token, user } = valueOf(await accounts.register({ ...ADA, setupCode: accounts.setupCode()! }))
  return { mesh, node, accounts, token, user, owner: accounts.authenticate(token)! }
}

/** The same mesh with a second gateway that has received everything. */
async function twoGateways() {
  const first = await founded()
  const node2 = first.mesh.add(2)
  const accounts2 = await start(node2)
  await settle()
  return { ...first, node2, accounts2 }
}

describe('the first user', () => {
  it('[A-T6] needs the setup code, becomes owner, and ends the code', async () => {
    const mesh = new SimMesh()
    const accounts = await start(mesh.add(1))
    const setupCode = accounts.setupCode()!
    expect(setupCode).toMatch(/^([0-9A-HJKMNP-TV-Z]{4}-){6}[0-9A-HJKMNP-TV-Z]{4}$/)
    expect(codeOf(await accounts.register(ADA))).toBe('setup_code_required')
    const wrong = setupCode.replace(/.$/, (last) => (last === '0' ? '1' : '0'))
    expect(codeOf(await accounts.register({ ...ADA, setupCode: wrong }))).toBe('setup_code_required')
    const signedIn = valueOf(
      await accounts.register({ ...ADA, setupCode: setupCode.toLowerCase().replaceAll('-', ' ') }),
    )
    expect(signedIn).toEqual({
      user: {
        id: signedIn.user.id,
        name: 'Ada Lovelace',
        email: 'ada@example.com',
        avatarUrl: null,
        emailVerifiedAt: null,
        role: 'owner',
        disabled: false,
        createdAt: new Date(mesh.clock.wallMs()).toISOString(),
      },
      token: expect.stringMatching(/^cn_[A-Za-z0-9_-]{43}$/),
      expiresAt: new Date(mesh.clock.wallMs() + 30 * DAY_MS).toISOString(),
    })
    expect(accounts.setupCode()).toBeUndefined()
    expect(mesh.leases.heldCount).toBe(0)
    expect(accounts.authenticate(signedIn.token)).toEqual({
      kind: 'user',
      id: signedIn.user.id,
      tokenId: expect.any(String),
      abilities: ['*'],
      gateway: mesh.nodes[0]!.peer,
    })
    expect(codeOf(await accounts.register({ ...BOB, setupCode }))).toBe('registration_closed')
  })

  it('[D1] gets another code after every start, as long as there is no user', async () => {
    const mesh = new SimMesh()
    const node = mesh.add(1)
    const codes = [(await start(node)).setupCode(), (await start(node)).setupCode()]
    expect(new Set(codes).size).toBe(2)
  })

  it('[A-T6] is one, when two gateways register one at the same time', async () => {
    const mesh = new SimMesh()
    const [one, two] = [mesh.add(1), mesh.add(2)]
    const a = await start(one)
    const b = await start(two)
    await settle()
    const results = await Promise.all([
      a.register({ ...ADA, setupCode: a.setupCode()! }),
      b.register({ ...BOB, setupCode: b.setupCode()! }),
    ])
    expect(results.map(codeOf).sort()).toEqual(['ok', 'registration_closed'])
    await settle()
    expect(valueOf(await a.listUsers())).toEqual(valueOf(await b.listUsers()))
    expect(valueOf(await a.listUsers())).toHaveLength(1)
  })

  it('is refused without a quorum, naming who did not answer', async () => {
    const mesh = new SimMesh()
    const node = mesh.add(1)
    const accounts = await start(node)
    mesh.leases.refusal = { why: 'no_quorum', missing: [node.peer] }
    const result = await accounts.register({ ...ADA, setupCode: accounts.setupCode()! })
    expect(result.ok ? undefined : result.error).toMatchObject({
      code: 'quorum_unreachable',
      details: { missingVoters: ['node-1'] },
    })
    expect(valueOf(await accounts.listUsers())).toEqual([])
  })

  it('writes nothing when its lease is gone by the time it writes', async () => {
    const mesh = new SimMesh()
    const node = mesh.add(1)
    const leases = mesh.leases.of(node)
    const accounts = await start(node, { leases: { ...leases, isValid: () => false } })
    expect(codeOf(await accounts.register({ ...ADA, setupCode: accounts.setupCode()! }))).toBe('superseded')
    expect(valueOf(await accounts.listUsers())).toEqual([])
  })

  it('is told that nothing was kept when the disk refuses, and can try again', async () => {
    const mesh = new SimMesh()
    const node = mesh.add(1)
    const accounts = await start(node)
    const setupCode = accounts.setupCode()!
    node.diskFails = true
    expect(codeOf(await accounts.register({ ...ADA, setupCode }))).toBe('storage_failed')
    expect(valueOf(await accounts.listUsers())).toEqual([])
    expect(mesh.leases.heldCount).toBe(0)
    node.diskFails = false
    expect(codeOf(await accounts.register({ ...ADA, setupCode }))).toBe('ok')
  })

  it('is told of every field that is wrong', async () => {
    const mesh = new SimMesh()
    const accounts = await start(mesh.add(1))
    const result = await accounts.register({ name: ' ', email: 'nobody', password: 'short' })
    expect(result.ok ? undefined : result.error).toEqual({
      code: 'invalid_input',
      message: 'The given data was invalid.',
      details: {
        fields: {
          name: ['The name field is required.'],
          email: ['The email must be a valid e-mail address.'],
          password: ['The password must be at least 8 characters.'],
        },
      },
    })
  })
})

describe('later users', () => {
  it('may register by themselves only where the owner allows it, each address once', async () => {
    const { mesh, node } = await founded()
    const open = await start(node, { registration: 'open' })
    const { token } = valueOf(await open.register(BOB))
    expect(open.authenticate(token)!.abilities).not.toContain('user:admin')
    expect(open.authenticate(token)!.abilities).toContain('task:claim')
    expect(codeOf(await open.register({ ...BOB, email: ' BOB@example.COM ' }))).toBe('email_taken')
    expect(mesh.leases.granted.flat().filter((key) => key.startsWith('accounts/email/'))).toHaveLength(2)
  })

  it('[A-T6] lets one of twenty uses of an invitation at once succeed', async () => {
    const { accounts, owner, mesh } = await founded()
    const { inviteCode } = valueOf(await accounts.inviteUser(owner, { role: 'member' }))
    const uses = Array.from({ length: 20 }, (_, n) =>
      accounts.register({ ...BOB, email: `bob${n}@example.com`, inviteCode }),
    )
    const codes = (await Promise.all(uses)).map(codeOf)
    expect(codes.filter((code) => code === 'ok')).toHaveLength(1)
    expect(codes.filter((code) => code === 'registration_closed')).toHaveLength(19)
    expect(valueOf(await accounts.listUsers())).toHaveLength(2)
    expect(mesh.leases.heldCount).toBe(0)
  })

  it('[A-T6] takes an invitation only before it expires and only for its address', async () => {
    const { accounts, owner, mesh } = await founded()
    const { inviteCode, expiresAt } = valueOf(await accounts.inviteUser(owner, { role: 'member', email: BOB.email }))
    expect(codeOf(await accounts.register({ ...BOB, email: 'eve@example.com', inviteCode }))).toBe(
      'registration_closed',
    )
    mesh.clock.stepWall(Date.parse(expiresAt) - mesh.clock.wallMs())
    expect(codeOf(await accounts.register({ ...BOB, inviteCode }))).toBe('registration_closed')
    mesh.clock.stepWall(-1)
    expect(codeOf(await accounts.register({ ...BOB, inviteCode }))).toBe('ok')
    expect(codeOf(await accounts.register({ ...BOB, email: 'eve@example.com', inviteCode }))).toBe(
      'registration_closed',
    )
  })

  it('set their first password with the code they were added with', async () => {
    const { accounts, owner } = await founded()
    const { user, inviteCode } = valueOf(
      await accounts.addUser(owner, { name: BOB.name, email: BOB.email, role: 'member' }),
    )
    expect(codeOf(await accounts.login({ ...BOB, remember: false }))).toBe('invalid_credentials')
    const registered = valueOf(await accounts.register({ ...BOB, inviteCode: inviteCode! }))
    expect(registered.user).toEqual(user)
    expect(codeOf(await accounts.login({ ...BOB, remember: false }))).toBe('ok')
  })
})

describe('signing in', () => {
  it('works on another gateway, for 30 days or, remembered, for 90', async () => {
    const { accounts2, mesh, user } = await twoGateways()
    const short = valueOf(await accounts2.login({ email: ' ADA@example.com', password: ADA.password, remember: false }))
    const long = valueOf(await accounts2.login({ email: ADA.email, password: ADA.password, remember: true }))
    expect(short).toMatchObject({ user, expiresAt: new Date(mesh.clock.wallMs() + 30 * DAY_MS).toISOString() })
    expect(long).toMatchObject({ user, expiresAt: new Date(mesh.clock.wallMs() + 90 * DAY_MS).toISOString() })
  })

  it('hashes as much for an address that nobody has', async () => {
    const hasher = createSimHasher()
    const { accounts } = await founded({ hasher })
    const before = hasher.calls()
    expect(codeOf(await accounts.login({ email: ADA.email, password: 'wrong wrong', remember: false }))).toBe(
      'invalid_credentials',
    )
    expect(hasher.calls()).toBe(before + 1)
    expect(codeOf(await accounts.login({ ...BOB, remember: false }))).toBe('invalid_credentials')
    expect(hasher.calls()).toBe(before + 2)
  })

  it('hashes few passwords at once and tells the rest to come back', async () => {
    const hasher = createSimHasher()
    const { accounts } = await founded({ hasher })
    const tries = HASHES_AT_ONCE_MAX + HASHES_WAITING_MAX + 5
    const results = await Promise.all(Array.from({ length: tries }, () => accounts.login({ ...ADA, remember: false })))
    const codes = results.map(codeOf)
    expect(hasher.most()).toBe(HASHES_AT_ONCE_MAX)
    expect(codes.filter((code) => code === 'rate_limited')).toHaveLength(5)
    expect(codes.filter((code) => code === 'ok')).toHaveLength(tries - 5)
  })

  it('is refused to a disabled user', async () => {
    const { accounts, owner } = await founded()
    valueOf(await accounts.addUser(owner, { ...BOB, role: 'member' }))
    valueOf(await accounts.disableUser(owner, BOB.email))
    expect(codeOf(await accounts.login({ ...BOB, remember: false }))).toBe('invalid_credentials')
  })

  it('does not outlive a password reset made while the password was being verified', async () => {
    const { accounts, accounts2, owner } = await twoGateways()
    const [login, reset] = await Promise.all([
      accounts2.login({ ...ADA, remember: false }),
      accounts.resetPassword(owner, ADA.email),
    ])
    await settle()
    expect(codeOf(reset)).toBe('ok')
    expect(accounts2.authenticate(login.ok ? login.value.token : '')).toBeUndefined()
  })
})

describe('tokens', () => {
  it('[A-T2] are never wider than the token that makes them; no ability means none', async () => {
    const { accounts, owner } = await founded()
    const input = { name: 'CI', expiresInDays: 90 }
    const narrow = valueOf(await accounts.createToken(owner, { ...input, abilities: ['token:manage', 'task:read'] }))
    const actor = accounts.authenticate(narrow.token)!
    expect(actor.abilities).toEqual(['token:manage', 'task:read'])
    for (const abilities of [['*'], ['task:write'], ['task:read', 'lock:admin']])
      expect(codeOf(await accounts.createToken(actor, { ...input, abilities }))).toBe('forbidden')
    const empty = valueOf(await accounts.createToken(actor, { ...input, abilities: [] }))
    const powerless = accounts.authenticate(empty.token)!
    expect(powerless.abilities).toEqual([])
    expect(codeOf(await accounts.createToken(powerless, { ...input, abilities: [] }))).toBe('forbidden')
    expect(codeOf(await accounts.listTokens(powerless))).toBe('forbidden')
    expect(codeOf(await accounts.logout(powerless))).toBe('ok')
    expect(codeOf(await accounts.createToken(owner, { ...input, abilities: ['task:everything'] }))).toBe(
      'invalid_input',
    )
  })

  it('[A-T2] cannot become wider by way of another person', async () => {
    const { accounts, owner } = await founded()
    const input = { name: 'helpdesk', expiresInDays: null, abilities: ['user:admin'] }
    const helpdesk = accounts.authenticate(valueOf(await accounts.createToken(owner, input)).token)!
    valueOf(await accounts.addUser(owner, { ...BOB, role: 'member' }))
    const attempts = [
      accounts.resetPassword(helpdesk, BOB.email),
      accounts.resetPassword(helpdesk, ADA.email),
      accounts.inviteUser(helpdesk, { role: 'member' }),
      accounts.inviteUser(helpdesk, { role: 'owner' }),
      accounts.addUser(helpdesk, { name: 'Eve', email: 'eve@example.com', role: 'owner', password: 'eve eve eve' }),
      accounts.disableUser(helpdesk, ADA.email),
    ]
    expect((await Promise.all(attempts)).map(codeOf)).toEqual(attempts.map(() => 'forbidden'))
    expect(codeOf(await accounts.disableUser(helpdesk, BOB.email))).toBe('ok')
  })

  it('are listed without their text, with the time of their last use', async () => {
    const { accounts, owner, user, mesh } = await founded()
    const created = valueOf(
      await accounts.createToken(owner, { name: 'CI', abilities: ['task:read'], expiresInDays: 90 }),
    )
    await mesh.clock.advance(1000)
    accounts.authenticate(created.token)
    const listed = valueOf(await accounts.listTokens(owner))
    expect(listed[1]).toEqual({
      id: created.record.id,
      userId: user.id,
      name: 'CI',
      abilities: ['task:read'],
      createdAt: new Date(mesh.clock.wallMs() - 1000).toISOString(),
      expiresAt: new Date(mesh.clock.wallMs() - 1000 + 90 * DAY_MS).toISOString(),
      lastUsedAt: new Date(mesh.clock.wallMs()).toISOString(),
    })
    expect(JSON.stringify(listed)).not.toContain(created.token)
  })

  it('[A-T3] die on every gateway when they are revoked on one, and each gateway is told', async () => {
    const { accounts, accounts2, owner, token } = await twoGateways()
    const revoked: string[] = []
    accounts2.onRevoked((id) => revoked.push(id))
    expect(accounts2.authenticate(token)?.tokenId).toBe(owner.tokenId)
    valueOf(await accounts.logout(owner))
    await settle()
    expect(accounts.authenticate(token)).toBeUndefined()
    expect(accounts2.authenticate(token)).toBeUndefined()
    expect(revoked).toEqual([owner.tokenId])
    expect(codeOf(await accounts.revokeToken(owner, owner.tokenId))).toBe('token_not_found')
  })

  it('of others cannot be revoked', async () => {
    const { accounts, owner } = await founded()
    valueOf(await accounts.addUser(owner, { ...BOB, role: 'member' }))
    const bob = accounts.authenticate(valueOf(await accounts.login({ ...BOB, remember: false })).token)!
    expect(codeOf(await accounts.revokeToken(bob, owner.tokenId))).toBe('token_not_found')
  })

  it('[A-T3] expire by the clock, are told of, and are forgotten a day later', async () => {
    const { accounts, owner, mesh, node } = await founded()
    const created = valueOf(await accounts.createToken(owner, { name: 'CI', abilities: [], expiresInDays: 1 }))
    const revoked: string[] = []
    accounts.onRevoked((id) => revoked.push(id))
    mesh.clock.stepWall(DAY_MS - 1)
    expect(accounts.authenticate(created.token)).toBeDefined()
    mesh.clock.stepWall(1)
    expect(accounts.authenticate(created.token)).toBeUndefined()
    await mesh.clock.advance(5000)
    expect(revoked).toEqual([created.record.id])
    const records = () => [...node.doc(accountsDoc).getMap('records').keys()]
    expect(records()).toContain(`token/${created.record.id}`)
    mesh.clock.stepWall(DAY_MS)
    await mesh.clock.advance(3_600_000)
    expect(records().filter((name) => name.includes(created.record.id))).toEqual([])
  })

  it('write down their last use at most hourly', async () => {
    const { accounts, accounts2, mesh, token, owner } = await twoGateways()
    const writes = mesh.bytes.length
    for (let n = 0; n < 50; n++) {
      await mesh.clock.advance(60_000)
      accounts.authenticate(token)
    }
    const usedAt = mesh.clock.wallMs()
    expect(mesh.bytes.length).toBe(writes)
    await mesh.clock.advance(3_600_000)
    expect(mesh.bytes.length - writes).toBeLessThanOrEqual(2)
    const seen = valueOf(await accounts2.listTokens(owner)).find(({ id }) => id === owner.tokenId)
    expect(seen?.lastUsedAt).toBe(new Date(usedAt).toISOString())
  })

  it('end with their user or with a newer password', async () => {
    const { accounts, accounts2, owner } = await twoGateways()
    valueOf(await accounts.addUser(owner, { ...BOB, role: 'member' }))
    await settle()
    const first = valueOf(await accounts2.login({ ...BOB, remember: false }))
    const revoked: string[] = []
    accounts2.onRevoked((id) => revoked.push(id))
    const { password } = valueOf(await accounts.resetPassword(owner, BOB.email))
    await settle()
    expect(accounts2.authenticate(first.token)).toBeUndefined()
    expect(codeOf(await accounts2.login({ ...BOB, remember: false }))).toBe('invalid_credentials')
    const second = valueOf(await accounts2.login({ ...BOB, password, remember: false }))
    expect(accounts2.authenticate(second.token)).toBeDefined()
    valueOf(await accounts.disableUser(owner, BOB.email))
    await settle()
    expect(accounts2.authenticate(second.token)).toBeUndefined()
    expect(revoked).toHaveLength(2)
  })

  it('of the last owner survive: nobody can lock everybody out', async () => {
    const { accounts, owner, token } = await founded()
    expect(codeOf(await accounts.disableUser(owner, ADA.email))).toBe('forbidden')
    expect(accounts.authenticate(token)).toBeDefined()
  })

  it.each(['', 'cn_', `cn_${'x'.repeat(43)}`, `mn_${'x'.repeat(43)}`, 'cn_'.padEnd(100, 'x'), `cn_${'\0'.repeat(43)}`])(
    '[A-T1] that were never issued are nobody (%j)',
    async (text) => {
      const { accounts } = await founded()
      expect(accounts.authenticate(text)).toBeUndefined()
    },
  )
})

describe('the control socket', () => {
  it('speaks for the machine, not for a user', async () => {
    const { accounts, node } = await founded()
    const local: Actor = localActor(node)
    expect(codeOf(await accounts.user(local))).toBe('user_not_found')
    expect(codeOf(await accounts.createToken(local, { name: 'x', abilities: [], expiresInDays: null }))).toBe(
      'user_not_found',
    )
    expect(codeOf(await accounts.resetPassword(local, ADA.email))).toBe('ok')
    expect(codeOf(await accounts.resetPassword(local, 'nobody@example.com'))).toBe('user_not_found')
  })
})
