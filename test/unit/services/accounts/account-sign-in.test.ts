import { afterEach, describe, expect, it } from 'vitest'
import type { IdentityProviderName } from '../../../../crdt/account-records.ts'
import { domainError } from '../../../../crdt/errors.ts'
import { err, ok } from '../../../../crdt/result.ts'
import type { IdentityProvider, ProvenIdentity } from '../../../../node/ports/identity-provider.ts'
import {
  createAccountService,
  type Accounts,
  type AccountServiceDeps,
} from '../../../../node/services/accounts/account-service.ts'
import { LINK_TTL_MS } from '../../../../node/services/accounts/link-book.ts'
import { FLOW_TTL_MS } from '../../../../node/services/accounts/provider-sign-in.ts'
import { accountDepsOf } from '../../../support/account-deps.ts'
import { codeOf, valueOf } from '../../../support/results.ts'
import { localActor, settle, SimMesh, type SimNode } from '../../../support/services-mesh.ts'
import { createRecordedSignIn, type RecordedSignIn } from '../../../support/sign-in-means.ts'

const DAY_MS = 86_400_000
const ADA = { name: 'Ada Lovelace', email: 'ada@example.com', password: 'correct horse battery' }
const BOB = { name: 'Bob', email: 'bob@example.com', password: 'staple staple staple' }

const started: Accounts[] = []
afterEach(async () => {
  await Promise.all(started.splice(0).map((accounts) => accounts.stop()))
})

type Started = { readonly node: SimNode; readonly accounts: Accounts; readonly means: RecordedSignIn }

async function start(node: SimNode, options: Partial<AccountServiceDeps> = {}): Promise<Started> {
  const means = createRecordedSignIn([providerOf('google')])
  const accounts = await createAccountService({
    ...accountDepsOf(node),
    registration: 'open',
    signIn: means,
    ...options,
  })
  started.push(accounts)
  return { node, accounts, means }
}

const people = new Map<string, ProvenIdentity>()
/** Vouches for whom the code stands for. */
const providerOf = (name: IdentityProviderName): IdentityProvider => ({
  name,
  redirectUrl: null,
  isReady: async () => true,
  authorizationUrl: async () => ok('https://provider.example/authorize'),
  identify: async (_, { code = '' }) => {
    const person = people.get(code)
    return person ? ok(person) : err(domainError('provider_refused'))
  },
})
const proven = (subject: string, verifiedEmail?: string): ProvenIdentity => ({
  provider: 'google',
  subject,
  verifiedEmail,
  name: 'Somebody',
  avatarUrl: undefined,
})

function codeFor(person: ProvenIdentity): string {
  const code = `${people.size}`
  people.set(code, person)
  return code
}

async function throughGoogle({ accounts }: Started, as: ProvenIdentity) {
  const { binding } = valueOf(await accounts.beginSignIn('google'))
  return await accounts.finishSignIn('google', binding, { code: codeFor(as) })
}

/** Ada's mesh with Bob in it, who registered by himself. */
async function founded(options: Partial<AccountServiceDeps> = {}) {
  const mesh = new SimMesh()
  const first = await start(mesh.add(1), options)
  const ada = valueOf(await first.accounts.register({ ...ADA, setupCode: first.accounts.setupCode()! }))
  return { mesh, ...first, first, ada }
}

const bob = async ({ accounts }: Started) => valueOf(await accounts.register(BOB))

async function linkFor(
  { node, accounts, means }: Started,
  purpose: 'signIn' | 'reset',
  email: string,
): Promise<string> {
  const before = means.mails.length
  valueOf(accounts.requestLink(purpose, email))
  await node.mesh.clock.advance(1000)
  expect(means.mails.length).toBe(before + 1)
  const mail = means.mails.at(-1)!
  expect(mail.to).toBe(email)
  return /#(?:sign-in|reset)=([\w-]{43})/.exec(mail.text)![1]!
}

describe('a link', () => {
  it('is asked for without a look at whether there is such a user before the answer', async () => {
    const { first, means, accounts, mesh } = await founded()
    const answers = [accounts.requestLink('signIn', ADA.email), accounts.requestLink('signIn', BOB.email)]
    expect(answers).toEqual([ok(null), ok(null)])
    expect(means.mails).toEqual([])
    await bob(first) // in time: it is looked at later
    await mesh.clock.advance(1000)
    expect(means.mails.map(({ to }) => to).sort()).toEqual([ADA.email, BOB.email])
  })

  it('goes to nobody who is disabled, and five times an hour to everybody else', async () => {
    const { first, accounts, means, node, mesh } = await founded()
    await bob(first)
    const ask = async (email: string): Promise<void> => {
      for (let n = 0; n < 8; n++) valueOf(accounts.requestLink('signIn', email))
      await mesh.clock.advance(1000)
    }
    await ask(ADA.email)
    expect(means.mails.length).toBe(5)
    valueOf(await accounts.disableUser(localActor(node), BOB.email))
    await ask(BOB.email)
    expect(means.mails.length).toBe(5)
  })

  it('is refused for everybody alike when too many wait, and where nobody could open it', async () => {
    const { accounts } = await founded()
    const answers = Array.from({ length: 257 }, () => accounts.requestLink('reset', 'x@example.com'))
    expect(answers.map(codeOf)).toEqual([...Array<string>(256).fill('ok'), 'link_unavailable'])
    const hidden = await founded({ signIn: { ...createRecordedSignIn(), publicUrl: () => null } })
    expect(codeOf(hidden.accounts.requestLink('signIn', ADA.email))).toBe('link_unavailable')
  })

  it('is good for a quarter of an hour, the time its gateway slept included', async () => {
    const { first, accounts, mesh } = await founded()
    const links = [await linkFor(first, 'signIn', ADA.email), await linkFor(first, 'signIn', ADA.email)]
    mesh.clock.suspend(LINK_TTL_MS.signIn - 60_000)
    expect(codeOf(await accounts.signInByLink(links[0]!))).toBe('ok')
    mesh.clock.suspend(60_000)
    expect(codeOf(await accounts.signInByLink(links[1]!))).toBe('link_invalid')
  })

  it('[A-T6] is good once', async () => {
    const { first, accounts } = await founded()
    const link = await linkFor(first, 'signIn', ADA.email)
    const tries = await Promise.all(Array.from({ length: 20 }, () => accounts.signInByLink(link)))
    expect(tries.map(codeOf).sort()).toEqual([...Array<string>(19).fill('link_invalid'), 'ok'])
  })

  it('is for one purpose, and dies with the password it was asked for under', async () => {
    const { first, accounts, node } = await founded()
    const [link, code] = [await linkFor(first, 'signIn', ADA.email), await linkFor(first, 'reset', ADA.email)]
    expect(codeOf(await accounts.signInByLink(code))).toBe('link_invalid')
    expect(codeOf(await accounts.resetByCode({ secret: link, password: 'long enough' }))).toBe('link_invalid')
    const stale = await linkFor(first, 'reset', ADA.email)
    valueOf(await accounts.resetPassword(localActor(node), ADA.email))
    expect(codeOf(await accounts.resetByCode({ secret: stale, password: 'long enough' }))).toBe('link_invalid')
  })

  it('leads where the operator says, with the address filled in', async () => {
    const means = {
      ...createRecordedSignIn(),
      linkTemplates: { signIn: 'https://board.example/in?t={token}&e={email}' },
    }
    const { accounts, mesh } = await founded({ signIn: means })
    valueOf(accounts.requestLink('signIn', ADA.email))
    await mesh.clock.advance(1000)
    expect(means.mails[0]?.text).toMatch(/\nhttps:\/\/board\.example\/in\?t=[\w-]{43}&e=ada%40example\.com\n/)
  })

  it('ends what somebody may have set up under an address that nobody had vouched for', async () => {
    const { first, accounts } = await founded()
    const squatter = await bob(first)
    const owner = valueOf(await accounts.signInByLink(await linkFor(first, 'signIn', BOB.email)))
    expect([owner.user.id, owner.user.emailVerifiedAt]).toEqual([squatter.user.id, expect.any(String)])
    expect(accounts.authenticate(squatter.token)).toBe(undefined)
    expect(codeOf(await accounts.login({ ...BOB, remember: false }))).toBe('invalid_credentials')
    expect(accounts.authenticate(owner.token)?.id).toBe(owner.user.id)
    const code = await linkFor(first, 'reset', BOB.email)
    valueOf(await accounts.resetByCode({ secret: code, password: 'of his own' }))
    expect(codeOf(await accounts.login({ ...BOB, password: 'of his own', remember: false }))).toBe('ok')
  })

  it('ends nothing of whom an owner let in by that address, nor the second time', async () => {
    const { first, accounts, node, ada } = await founded({ registration: 'closed' })
    const { inviteCode } = valueOf(await accounts.inviteUser(localActor(node), { email: BOB.email, role: 'member' }))
    const invited = valueOf(await accounts.register({ ...BOB, inviteCode }))
    for (const { email, token } of [
      { ...BOB, token: invited.token },
      { ...ADA, token: ada.token },
    ])
      for (let n = 0; n < 2; n++) {
        valueOf(await accounts.signInByLink(await linkFor(first, 'signIn', email)))
        expect(accounts.authenticate(token)).toBeDefined()
      }
    expect(codeOf(await accounts.login({ ...BOB, remember: false }))).toBe('ok')
  })
})

describe('a refresh token', () => {
  const signedIn = async (at: Started) =>
    valueOf(await at.accounts.signInByLink(await linkFor(at, 'signIn', ADA.email)))

  it('is replaced with its access token, on any gateway', async () => {
    const { mesh, first, accounts } = await founded()
    const second = await start(mesh.add(2))
    await settle()
    const one = await signedIn(first)
    const two = valueOf(await second.accounts.refresh(one.refreshToken))
    for (const gateway of [accounts, second.accounts]) {
      expect(gateway.authenticate(one.token)).toBe(undefined)
      expect(gateway.authenticate(two.token)?.id).toBe(one.user.id)
    }
    expect(codeOf(await accounts.refresh(two.refreshToken))).toBe('ok')
  })

  it('ends everything made from it when it is used again, wherever', async () => {
    const { mesh, first, accounts } = await founded()
    const second = await start(mesh.add(2))
    await settle()
    const one = await signedIn(first)
    const two = valueOf(await accounts.refresh(one.refreshToken))
    expect(codeOf(await second.accounts.refresh(one.refreshToken))).toBe('unauthenticated')
    for (const gateway of [accounts, second.accounts]) expect(gateway.authenticate(two.token)).toBe(undefined)
    expect(codeOf(await accounts.refresh(two.refreshToken))).toBe('unauthenticated')
  })

  it('shows its copy when two gateways that do not hear each other replaced it', async () => {
    const { mesh, first, node, accounts } = await founded()
    const second = await start(mesh.add(2))
    await settle()
    const one = await signedIn(first)
    const revoked: string[] = []
    node.isCut = true
    const thief = valueOf(await second.accounts.refresh(one.refreshToken))
    const owner = valueOf(await accounts.refresh(one.refreshToken))
    accounts.onRevoked((id) => revoked.push(id))
    const ownersId = accounts.authenticate(owner.token)!.tokenId
    mesh.connect()
    for (const gateway of [accounts, second.accounts]) {
      expect([gateway.authenticate(thief.token), gateway.authenticate(owner.token)]).toEqual([undefined, undefined])
      expect(codeOf(await gateway.refresh(owner.refreshToken))).toBe('unauthenticated')
    }
    expect(revoked).toContain(ownersId)
  })

  it('ends with the sign-out, the password, the user, its time and the gateway that issued it', async () => {
    const { mesh, first, accounts, node } = await founded()
    const second = await start(mesh.add(2))
    await settle()
    const out = await signedIn(first)
    valueOf(await accounts.logout(accounts.authenticate(out.token)!))
    expect(codeOf(await accounts.refresh(out.refreshToken))).toBe('unauthenticated')
    const late = await signedIn(first)
    mesh.clock.stepWall(90 * DAY_MS)
    expect(codeOf(await accounts.refresh(late.refreshToken))).toBe('unauthenticated')
    const elsewhere = await signedIn(second)
    mesh.remove(second.node)
    expect(codeOf(await accounts.refresh(elsewhere.refreshToken))).toBe('unauthenticated')
    await mesh.clock.advance(3_600_000)
    const reset = await signedIn(first)
    valueOf(await accounts.resetPassword(localActor(node), ADA.email))
    expect(codeOf(await accounts.refresh(reset.refreshToken))).toBe('unauthenticated')
  })

  it('keeps a family small however often it is renewed, and a copy of a recent one still shows', async () => {
    const { mesh, first, accounts } = await founded()
    let current = await signedIn(first)
    const all = [current.refreshToken]
    for (let n = 0; n < 30; n++) {
      mesh.clock.stepWall(n % 2 === 0 ? -60_000 : 60_000) // clocks of gateways differ
      current = valueOf(await accounts.refresh(current.refreshToken))
      all.push(current.refreshToken)
    }
    expect(codeOf(await accounts.refresh(all[3]!))).toBe('unauthenticated')
    expect(accounts.authenticate(current.token)).toBeDefined()
    expect(codeOf(await accounts.refresh(all[28]!))).toBe('unauthenticated')
    expect(accounts.authenticate(current.token)).toBe(undefined)
  })

  it('[A-T4] stands nowhere in what is written', async () => {
    const { mesh, first } = await founded()
    const { token, refreshToken } = await signedIn(first)
    expect([token, refreshToken].filter((secret) => mesh.hasWritten(secret))).toEqual([])
  })
})

describe('an account at a provider', () => {
  it('is one user on every gateway, also when it is used on two for the first time at once', async () => {
    const { mesh, first } = await founded()
    const second = await start(mesh.add(2))
    await settle()
    const both = [throughGoogle(first, proven('g1', BOB.email)), throughGoogle(second, proven('g1', BOB.email))]
    const users = (await Promise.all(both)).map((result) => valueOf(result).user.id)
    expect(new Set(users).size).toBe(1)
    const under = ['one@example.com', 'two@example.com'] // the address was changed at the provider meanwhile
    const moved = await Promise.all(under.map((email, n) => throughGoogle([first, second][n]!, proven('g2', email))))
    expect(new Set(moved.map((result) => valueOf(result).user.id)).size).toBe(1)
    const users2 = valueOf(await second.accounts.listUsers())
    expect(users2).toHaveLength(3)
  })

  it('needs a verified address the first time only', async () => {
    const { first } = await founded()
    expect(codeOf(await throughGoogle(first, proven('g1')))).toBe('identity_unproved')
    const { user } = valueOf(await throughGoogle(first, proven('g1', BOB.email)))
    expect(valueOf(await throughGoogle(first, proven('g1'))).user.id).toBe(user.id)
    expect(valueOf(await throughGoogle(first, proven('g2', 'other@example.com'))).user.id).not.toBe(user.id)
  })

  it('makes nobody on a closed mesh, nor the first user', async () => {
    const { first } = await founded({ registration: 'closed' })
    expect(codeOf(await throughGoogle(first, proven('g1', BOB.email)))).toBe('registration_closed')
    const empty = await start(new SimMesh().add(1))
    expect(codeOf(await throughGoogle(empty, proven('g1', BOB.email)))).toBe('setup_code_required')
  })

  it('belongs to whom an owner added by the address, and then the invitation is of no use any more', async () => {
    const { first, node, accounts } = await founded({ registration: 'closed' })
    const added = valueOf(await accounts.addUser(localActor(node), { ...pick(BOB), role: 'member' }))
    const signedIn = valueOf(await throughGoogle(first, proven('g1', BOB.email)))
    expect(signedIn.user).toMatchObject({ id: added.user.id, emailVerifiedAt: expect.any(String) })
    const late = await accounts.register({ ...BOB, inviteCode: added.inviteCode! })
    expect(codeOf(late)).toBe('registration_closed')
  })

  it('never opens an account whose password somebody else may know, until the address is proved here too', async () => {
    const { first, accounts } = await founded()
    const squatter = await bob(first)
    expect(codeOf(await throughGoogle(first, proven('g1', BOB.email)))).toBe('identity_unproved')
    valueOf(await accounts.signInByLink(await linkFor(first, 'signIn', BOB.email)))
    expect(valueOf(await throughGoogle(first, proven('g1', BOB.email))).user.id).toBe(squatter.user.id)
    expect(accounts.authenticate(squatter.token)).toBe(undefined)
  })

  it('does not open a disabled account', async () => {
    const { first, node, accounts } = await founded()
    valueOf(await throughGoogle(first, proven('g1', BOB.email)))
    valueOf(await accounts.disableUser(localActor(node), BOB.email))
    for (const subject of ['g1', 'g2'])
      expect(codeOf(await throughGoogle(first, proven(subject, BOB.email)))).toBe('invalid_credentials')
  })

  it('is asked once per flow', async () => {
    const { accounts } = await founded()
    const code = codeFor(proven('g1', BOB.email))
    const { binding } = valueOf(await accounts.beginSignIn('google'))
    const tries = Array.from({ length: 20 }, () => accounts.finishSignIn('google', binding, { code }))
    const codes = (await Promise.all(tries)).map(codeOf).sort()
    expect(codes).toEqual(['ok', ...Array<string>(19).fill('provider_refused')])
  })

  it('is not waited for longer than ten minutes, nor at another provider', async () => {
    const { accounts, mesh } = await founded({
      signIn: createRecordedSignIn([providerOf('google'), providerOf('github')]),
    })
    const code = codeFor(proven('g1', BOB.email))
    const { binding } = valueOf(await accounts.beginSignIn('google'))
    expect(codeOf(await accounts.finishSignIn('github', binding, { code }))).toBe('provider_refused')
    mesh.clock.suspend(FLOW_TTL_MS)
    expect(codeOf(await accounts.finishSignIn('google', binding, { code }))).toBe('provider_refused')
  })
})

describe('preferences', () => {
  it('are set on one gateway and read on another, key by key', async () => {
    const { mesh, accounts, ada } = await founded()
    const second = await start(mesh.add(2))
    await settle()
    const actor = accounts.authenticate(ada.token)!
    valueOf(await accounts.setPreferences(actor, { theme: 'dark', board: { columns: 3 } }))
    expect(valueOf(await second.accounts.preferences(second.accounts.authenticate(ada.token)!))).toEqual({
      board: { columns: 3 },
      theme: 'dark',
    })
    expect(valueOf(await second.accounts.setPreferences(actor, { theme: null, page: 1 }))).toEqual({
      board: { columns: 3 },
      page: 1,
    })
    expect(mesh.hasWritten('columns')).toBe(false)
  })

  it('are the user’s own, few, short and named plainly', async () => {
    const { first, accounts, ada } = await founded()
    const actor = accounts.authenticate(ada.token)!
    valueOf(
      await accounts.setPreferences(actor, Object.fromEntries(Array.from({ length: 64 }, (_, n) => [`k${n}`, n]))),
    )
    const refused = [
      { more: 1 },
      { '../x': 1 },
      { constructor: 1 },
      JSON.parse('{"__proto__":1}'),
      { k0: 'x'.repeat(2047) },
    ]
    const codes = await Promise.all(refused.map(async (change) => codeOf(await accounts.setPreferences(actor, change))))
    expect(codes).toEqual(['limit_reached', ...Array<string>(4).fill('invalid_input')])
    const other = accounts.authenticate((await bob(first)).token)!
    expect(valueOf(await accounts.preferences(other))).toEqual({})
  })
})

const pick = ({ name, email }: typeof BOB) => ({ name, email })
