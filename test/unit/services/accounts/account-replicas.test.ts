import { afterEach, expect, it } from 'vitest'
import { createArgon2Hasher } from '../../../../node/adapters/argon2-hasher.ts'
import { createAccountService, type Accounts } from '../../../../node/services/accounts/account-service.ts'
import { createDocuments, type DocumentsService } from '../../../../node/services/feeds/documents-service.ts'
import { createSeededRandom, crypto, identity } from '../../../support/identity.ts'
import { createMemoryStore, type MemoryStore } from '../../../support/memory-store.ts'
import { localActor, settle, SimMesh, type SimNode } from '../../../support/services-mesh.ts'
import { createRecordedSignIn } from '../../../support/sign-in-means.ts'

/*
 * The same services over real signed feeds (and real argon2id): what the simulated documents allow, these must too.
 */
const ADA = { name: 'Ada Lovelace', email: 'ada@example.com', password: 'correct horse battery' }
const LOGIN = { email: ADA.email, password: ADA.password, remember: false }

type Running = {
  readonly node: SimNode
  readonly store: MemoryStore
  readonly documents: DocumentsService
  readonly accounts: Accounts
}
const running: Running[] = []
let starts = 0

afterEach(async () => {
  for (const { accounts, documents } of running.splice(0)) {
    await accounts.stop()
    await documents.close()
  }
})

async function start(node: SimNode, n: number, store = createMemoryStore()): Promise<Running> {
  const { mesh, log } = node
  const random = createSeededRandom(1000 * n + starts++)
  const membership = () => mesh.membership()
  const documents = await createDocuments({
    store,
    crypto,
    signer: identity(n),
    clock: mesh.clock,
    random,
    log,
    membership,
  })
  documents.onAppend((envelopes) => {
    for (const other of running)
      if (other.documents !== documents)
        void other.documents.receive(
          envelopes.map(({ bytes }) => bytes),
          node.peer,
        )
  })
  for (const other of running) await catchUp(documents, other)
  const accounts = await createAccountService({
    self: node.peer,
    documents,
    membership: node.membership,
    boxSecretKey: node.boxSecretKey,
    clock: mesh.clock,
    random,
    log,
    leases: mesh.leases.of(node),
    crypto,
    hasher: createArgon2Hasher(),
    registration: 'closed',
    signIn: createRecordedSignIn(),
  })
  const started = { node, store, documents, accounts }
  running.push(started)
  return started
}

async function catchUp(documents: DocumentsService, from: Running): Promise<void> {
  const envelopes: Uint8Array[] = []
  for await (const bytes of from.documents.missing(documents.vectors(), Infinity)) envelopes.push(bytes)
  await documents.receive(envelopes, from.node.peer)
}

/** Until nothing moves any more: batches, signatures and the store take turns of the event loop. */
async function quiet(): Promise<void> {
  for (let n = 0; n < 20; n++) await settle()
}

it('[A-T4] [M7] signs in on a second gateway, goes on without a removed one, restarts, and stores no secret', async () => {
  const mesh = new SimMesh()
  const first = await start(mesh.add(1), 1)
  const registered = await first.accounts.register({ ...ADA, setupCode: first.accounts.setupCode()! })
  const token = registered.ok ? registered.value.token : 'none'
  expect(first.accounts.authenticate(token)?.abilities).toEqual(['*'])

  const second = await start(mesh.add(2), 2)
  await catchUp(second.documents, first)
  await quiet()
  expect(second.accounts.authenticate(token)).toBeDefined()
  const there = await second.accounts.login(LOGIN)
  const tokenThere = there.ok ? there.value.token : 'none'
  await quiet()
  expect(first.accounts.authenticate(tokenThere)).toBeDefined()
  expect((await second.accounts.login({ ...LOGIN, password: 'wrong password' })).ok).toBe(false)

  const cuts = first.documents.headsOf(second.node.peer)
  running.splice(running.indexOf(second), 1)
  mesh.remove(second.node, cuts)
  await first.documents.membershipChanged()
  await quiet()
  expect(first.accounts.authenticate(tokenThere)).toBeUndefined()
  expect(first.accounts.authenticate(token)).toBeDefined()
  // The removed node opens no door either, and has nothing left to write.
  expect([second.accounts.isOpen(), second.accounts.authenticate(token)]).toEqual([false, undefined])
  expect((await second.accounts.login(LOGIN)).ok).toBe(false)
  const made = await first.accounts.createToken(first.accounts.authenticate(token)!, {
    name: 'after the removal',
    abilities: ['task:read'],
    expiresInDays: null,
  })
  const reset = await first.accounts.resetPassword(localActor(first.node), ADA.email)
  const password = reset.ok ? reset.value.password : 'none'
  await first.accounts.stop()
  await first.documents.close()
  await second.accounts.stop()
  await second.documents.close()
  running.splice(0)

  const again = await start(first.node, 1, first.store.crash())
  expect(again.accounts.setupCode()).toBeUndefined()
  expect(again.accounts.authenticate(token)).toBeUndefined()
  expect((await again.accounts.login({ ...LOGIN, password })).ok).toBe(true)

  const secrets = [ADA.email, ADA.name, ADA.password, token, tokenThere, password, 'argon2id', 'after the removal']
  secrets.push(made.ok ? made.value.token : 'none')
  const stored = [first.store, second.store].flatMap(({ appends }) =>
    appends.flat().map(({ bytes }) => Buffer.from(bytes)),
  )
  expect(secrets).not.toContain('none')
  expect(stored.length).toBeGreaterThan(5)
  expect(secrets.filter((secret) => stored.some((bytes) => bytes.includes(secret)))).toEqual([])
  const logged = JSON.stringify([first.node.log.lines, second.node.log.lines])
  expect(secrets.filter((secret) => logged.includes(secret))).toEqual([])
  expect(first.node.log.lines.filter(({ level }) => level === 'error')).toEqual([])
})
