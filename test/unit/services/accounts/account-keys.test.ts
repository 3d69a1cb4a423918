import { decode } from 'cborg'
import nacl from 'tweetnacl'
import * as Y from 'yjs'
import { describe, expect, it } from 'vitest'
import { ABILITIES } from '../../../../crdt/actor.ts'
import { sealedKeys, sealedRecords } from '../../../../crdt/account-document.ts'
import { accountsDoc } from '../../../../crdt/ids.ts'
import { createAccountService, type Accounts } from '../../../../node/services/accounts/account-service.ts'
import { accountDepsOf } from '../../../support/account-deps.ts'
import { crypto } from '../../../support/identity.ts'
import { localActor, settle, SimMesh, type SimNode } from '../../../support/services-mesh.ts'

const ADA = { name: 'Ada Lovelace', email: 'ada@example.com', password: 'correct horse battery' }

function start(node: SimNode): Promise<Accounts> {
  return createAccountService(accountDepsOf(node))
}

async function founded() {
  const mesh = new SimMesh()
  const node = mesh.add(1)
  const accounts = await start(node)
  const registered = await accounts.register({ ...ADA, setupCode: accounts.setupCode()! })
  if (!registered.ok) throw new Error(registered.error.message)
  return { mesh, node, accounts, token: registered.value.token, owner: accounts.authenticate(registered.value.token)! }
}

const keysOf = (node: SimNode): string[] => [...sealedKeys(node.doc(accountsDoc)).keys()].sort()
const keyIdsOf = (node: SimNode): string[] => [...new Set(keysOf(node).map((name) => name.split('/')[0]!))]
const recordsOf = (node: SimNode): Y.Map<unknown> => sealedRecords(node.doc(accountsDoc))
const login = { email: ADA.email, password: ADA.password, remember: false }

/** Everything that the box key of `node` opens, of keys as of records: what a thief of that key could read. */
function readableBy(node: SimNode, state: Y.Doc, senders: readonly SimNode[]): string[] {
  const keys = [...sealedKeys(state)].flatMap(([name, value]) => {
    const sealed = value as { from: string; nonce: Uint8Array; box: Uint8Array }
    const sender = senders.find(({ peer }) => peer === sealed.from)
    const key = sender && nacl.box.open(sealed.box, sealed.nonce, sender.member.boxKey, node.boxSecretKey)
    return key ? [name.split('/')[0]!] : []
  })
  return [...sealedRecords(state)].filter(([, value]) => keys.includes(keyIdIn(value))).map(([name]) => name)
}

describe('the accounts key', () => {
  it('[D1] is made by the founder alone; others wait for it and say so', async () => {
    const mesh = new SimMesh()
    const founder = mesh.add(1)
    const other = mesh.add(2)
    const accounts = await start(other)
    expect([accounts.isOpen(), accounts.setupCode(), keysOf(other)]).toEqual([false, undefined, []])
    const refused = await accounts.register({ ...ADA, setupCode: 'whatever' })
    expect(refused.ok ? undefined : refused.error.message).toMatch(/has not received the key/)
    await start(founder)
    await settle()
    expect(accounts.isOpen()).toBe(true)
    expect(keysOf(other)).toEqual([`1.${founder.peer}/${founder.peer}`, `1.${founder.peer}/${other.peer}`].sort())
  })

  it('is handed to a new gateway, which can then sign people in; nothing is written twice', async () => {
    const { mesh, token } = await founded()
    const node2 = mesh.add(2)
    const accounts2 = await start(node2)
    await settle()
    expect(accounts2.authenticate(token)).toBeDefined()
    expect((await accounts2.login(login)).ok).toBe(true)
    const writes = mesh.bytes.length
    mesh.connect()
    await settle()
    await mesh.clock.advance(120_000)
    expect(mesh.bytes.length).toBe(writes)
  })

  it('never reaches a member that serves no users', async () => {
    const { mesh, node, token } = await founded()
    const plain = mesh.add(2, ['run', 'store'])
    const accounts = await start(plain)
    await settle()
    expect(accounts.isOpen()).toBe(false)
    expect(accounts.authenticate(token)).toBeUndefined()
    expect(readableBy(plain, plain.doc(accountsDoc), [node, plain])).toEqual([])
  })

  it('survives a restart, also when whoever handed it over has left meanwhile', async () => {
    const { mesh, node, token } = await founded()
    const node2 = mesh.add(2)
    const before = await start(node2)
    await settle()
    await before.stop()
    const second = await before.login(login)
    mesh.remove(node)
    const after = await start(node2)
    await settle()
    expect(after.isOpen()).toBe(true)
    expect(after.authenticate(second.ok ? second.value.token : '')).toBeDefined()
    expect(after.authenticate(token)).toBeUndefined()
  })

  it('[M7] is replaced when a gateway is removed, and every record encrypted anew', async () => {
    const { mesh, node, accounts, owner } = await founded()
    const node2 = mesh.add(2)
    const accounts2 = await start(node2)
    await settle()
    const signedIn = await accounts2.login(login)
    await settle()
    const issuedThere = signedIn.ok ? signedIn.value.token : ''
    const revoked: string[] = []
    const actor = accounts.authenticate(issuedThere)!
    accounts.onRevoked((id) => revoked.push(id))
    expect(readableBy(node2, node.doc(accountsDoc), [node, node2])).toEqual([...recordsOf(node).keys()])

    mesh.remove(node2)
    await settle()
    expect(keyIdsOf(node)).toEqual([`1.${node.peer}`, `2.${node.peer}`])
    expect(keysOf(node).filter((name) => name.endsWith(node2.peer))).toEqual([])
    expect(readableBy(node2, node.doc(accountsDoc), [node, node2])).toEqual([])
    expect(recordsOf(node).size).toBeGreaterThan(2)
    // What the removed gateway issued is void; the people are who they were.
    expect(accounts.authenticate(issuedThere)).toBeUndefined()
    expect(revoked).toEqual([actor.tokenId])
    expect((await accounts.user(owner)).ok).toBe(true)
    expect((await accounts.login(login)).ok).toBe(true)
  })

  it('[M7] is replaced by the next gateway when the most senior one does not do it', async () => {
    const { mesh, node } = await founded()
    const [node2, node3] = [mesh.add(2), mesh.add(3)]
    const accounts2 = await start(node2)
    await start(node3)
    await settle()
    node.isCut = true
    const founderDoc = Y.encodeStateVector(node.doc(accountsDoc))
    mesh.remove(node3)
    await settle()
    expect(keyIdsOf(node2)).toEqual([`1.${node.peer}`])
    await mesh.clock.advance(29_000)
    expect(keyIdsOf(node2)).toEqual([`1.${node.peer}`])
    await mesh.clock.advance(2000)
    expect(keyIdsOf(node2)).toEqual([`1.${node.peer}`, `2.${node2.peer}`])
    expect(founderDoc.byteLength).toBeGreaterThan(0)
    // The founder rotated by itself while it was cut off: both go on after they meet, with one current key.
    mesh.connect()
    await settle()
    expect(keysOf(node)).toEqual(keysOf(node2))
    expect((await accounts2.login(login)).ok).toBe(true)
    await settle()
    const used = new Set([...recordsOf(node2).values()].map((value) => keyIdIn(value)))
    expect(used.size).toBe(1)
  })

  it('[M7] loses no revocation that is made while records are encrypted anew elsewhere', async () => {
    const { mesh, node, accounts, token, owner } = await founded()
    const [node2, node3] = [mesh.add(2), mesh.add(3)]
    const accounts2 = await start(node2)
    await settle()
    node2.isCut = true
    await accounts2.logout(owner)
    await accounts2.disableUser(localActor(node2), ADA.email)
    mesh.remove(node3)
    await settle()
    expect(accounts.authenticate(token)).toBeDefined()
    mesh.connect()
    await settle()
    expect(accounts.authenticate(token)).toBeUndefined()
    expect(accounts2.authenticate(token)).toBeUndefined()
    expect(node.log.lines.filter(({ level }) => level === 'error')).toEqual([])
  })

  it('is not taken from a member that is no gateway', async () => {
    const { mesh, node } = await founded()
    const evil = mesh.add(2, ['run', 'store'])
    const known = evil.random.bytes(32)
    const nonce = evil.random.bytes(24)
    const box = nacl.box(known, nonce, node.member.boxKey, evil.boxSecretKey)
    await evil.documents.write(accountsDoc, undefined, (state) =>
      sealedKeys(state).set(`9.${node.peer}/${node.peer}`, { from: evil.peer, nonce, box }),
    )
    await settle()
    await node.mesh.clock.advance(1000)
    const values = [...recordsOf(node).values()]
    expect(values.map(keyIdIn)).toEqual(values.map(() => `1.${node.peer}`))
  })
})

describe('the accounts document', () => {
  it('[A-T4] shows no address, name, password, token, code or hash of them', async () => {
    const { mesh, node, accounts, token, owner } = await founded()
    const setupCode = accounts.setupCode() ?? 'gone'
    const invited = await accounts.inviteUser(owner, { role: 'member', email: 'carol@example.com' })
    const inviteCode = invited.ok ? invited.value.inviteCode : ''
    await accounts.register({ name: 'Carol', email: 'carol@example.com', password: 'carols password', inviteCode })
    const made = await accounts.createToken(owner, { name: 'my laptop', abilities: [...ABILITIES], expiresInDays: 1 })
    const reset = await accounts.resetPassword(localActor(node), 'carol@example.com')
    await accounts.stop()
    const people = [ADA.email, ADA.name, ADA.password, 'carol@example.com', 'Carol', 'carols password', 'my laptop']
    const issued = [token, setupCode, inviteCode, made.ok ? made.value.token : '', reset.ok ? reset.value.password : '']
    const secrets = people.concat(issued, 'sim$')
    expect(secrets).not.toContain('')
    expect(mesh.bytes.length).toBeGreaterThan(5)
    expect(secrets.filter((secret) => mesh.hasWritten(secret))).toEqual([])
    const hashed = (text: string): Buffer => Buffer.from(crypto.sha256(new TextEncoder().encode(text)))
    for (const secret of [token, ADA.email])
      expect(mesh.bytes.some((bytes) => Buffer.from(bytes).includes(hashed(secret)))).toBe(false)
    expect(JSON.stringify(node.log.lines)).not.toMatch(/ada@example|cn_|carol/i)
  })

  it('[M13] ignores what a member scribbles into it', async () => {
    const { mesh, node, accounts, token } = await founded()
    const evil = mesh.add(2, ['run', 'store'])
    const names = [...recordsOf(node).keys()]
    const tokenName = names.find((name) => name.startsWith('token/'))!
    const fresh = '00000000-0000-4000-8000-000000000000'
    await evil.documents.write(accountsDoc, undefined, (state) => {
      const records = sealedRecords(state)
      records.set('user/garbage', new Uint8Array(40))
      records.set('__proto__', 'x')
      records.set(`user/${fresh}`, { name: 'Eve', role: 'owner' })
      records.set(`token/${fresh}`, new Uint8Array([0xa1, 0x61, 0x61, 0x01]))
      // A good record under another name is not a record.
      records.set(`user/${fresh.replace('0', '1')}`, records.get(names.find((name) => name.startsWith('user/'))!))
      sealedKeys(state).set('nonsense', 7)
      sealedKeys(state).set(`2.${evil.peer}/${node.peer}`, { from: evil.peer })
    })
    await settle()
    const users = await accounts.listUsers()
    expect(users.ok && users.value.map(({ name }) => name)).toEqual([ADA.name])
    expect(accounts.authenticate(token)).toBeDefined()
    // A record that is overwritten is gone, and never more than that.
    await evil.documents.write(accountsDoc, undefined, (state) =>
      sealedRecords(state).set(tokenName, new Uint8Array(100).fill(7)),
    )
    await settle()
    expect(accounts.authenticate(token)).toBeUndefined()
    expect((await accounts.login(login)).ok).toBe(true)
  })
})

describe('hundreds of tokens', () => {
  it('are good on the gateway that issued them and on one that joins later', async () => {
    const { mesh, node, accounts } = await founded()
    const actor = { ...localActor(node) }
    const texts: string[] = []
    const machine = (n: number) => `10000000-0000-4000-8000-${String(n).padStart(12, '0')}` as never
    for (let n = 0; n < 300; n++) {
      const issued = await accounts.machineTokens.issue(actor, machine(n), `machine ${n}`)
      if (issued.ok) texts.push(issued.value.token)
    }
    expect(texts.filter((text) => accounts.authenticate(text)?.kind === 'machine')).toHaveLength(300)
    const node2 = mesh.add(2)
    const accounts2 = await start(node2)
    await settle()
    expect(texts.filter((text) => accounts2.authenticate(text))).toHaveLength(300)
  })
})

/** The key id stands in clear in the sealed record. */
const keyIdIn = (value: unknown): string => decode(value as Uint8Array).key
