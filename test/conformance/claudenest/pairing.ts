import { expect } from 'vitest'
import { pairingWords } from '../../../node/adapters/pairing-words.ts'
import { fromHex, toHex } from '../../../protocols/codec.ts'
import { PAIRING_MS, pairingCommitment, pairingDigest, type PairingGateway } from '../../../protocols/pairing.ts'
import { callGateway, openGateway, type Answer, type Json } from '../../support/gateway-lab.ts'
import { crypto, identity } from '../../support/identity.ts'
import { startPairingLab } from '../../support/pairing-lab.ts'
import { call, data, example, fresh, labs, meets, refusal, refuses, refusesElsewhere, theLab } from './harness.ts'

const INITIATE = 'POST /api/pairing/initiate'
const POLL = 'GET /api/pairing/:code'
const COMPLETE = 'POST /api/pairing/:code/complete'

const agent = { agent_info: { platform: 'linux', hostname: 'dev-box' } }

const initiate = async (body: object = agent): Promise<Json> =>
  await data('POST', '/api/pairing/initiate', { token: null, body })
const poll = (code: string, token: string | null = null) => call('GET', `/api/pairing/${code}`, { token })
const complete = (code: string, body: object = {}) => call('POST', `/api/pairing/${code}/complete`, { body })
const waiting = async (): Promise<string[]> =>
  (await data('GET', '/api/pairing')).pairings.map(({ code }: Json) => code).toSorted()
/** Whatever a test leaves behind counts among those that wait. */
const refuse = (code: string) => call('POST', `/api/pairing/${code}/refuse`)

const started = async () => ({ params: { code: (await initiate()).code } })
const completed = async () => {
  const { code, token } = await initiate()
  await complete(code)
  return { params: { code }, token }
}
const unknown = () => ({ params: { code: 'ZZZ-ZZZ' } })

export function pairingRequirements(): void {
  initiateRequirements()
  pollRequirements()
  completeRequirements()
  peopleRequirements()
}

function initiateRequirements(): void {
  example(INITIATE, () => ({}))
  meets(INITIATE, 'gives five minutes', async () => {
    const { code, expires_at } = await initiate()
    const left = Date.parse(expires_at) - Date.now()
    expect([left <= PAIRING_MS, left > PAIRING_MS - 60_000]).toEqual([true, true])
    await refuse(code)
  })
  meets(INITIATE, 'takes a code that the agent has made, once', async () => {
    const own = { ...agent, code: 'QQQ-222' }
    expect((await initiate(own)).code).toBe('QQQ-222')
    expect(await refusal('POST', '/api/pairing/initiate', { token: null, body: own })).toEqual([409, 'PAR_004'])
    const bad = { ...agent, code: 'OOO-111' }
    expect(await refusal('POST', '/api/pairing/initiate', { token: null, body: bad })).toEqual([422, 'VAL_001'])
    await refuse('QQQ-222')
  })
  meets(INITIATE, 'lets 20 wait, 10 from one address', async () => {
    await refuseAll()
    const codes: string[] = []
    for (let n = 0; n < 10; n++) codes.push((await initiate()).code)
    const refused = await call('POST', '/api/pairing/initiate', { token: null, body: agent })
    expect([refused.status, refused.json.error.code]).toEqual([429, 'RTE_001'])
    expect(refused.json.error.details.retry_after_ms).toBeGreaterThan(0)
    for (const code of codes) await refuse(code)
  })
}

function pollRequirements(): void {
  example(POLL, completed, ({ machine, token, machine_id }) => {
    expect(machine.token).toMatch(/^mn_/)
    expect([token, machine_id]).toEqual([machine.token, machine.id])
  })
  refuses(POLL, 'PAR_001', unknown)
  refusesElsewhere(POLL, 'PAR_002', () =>
    afterFiveMinutes((url, { code, token }) => callGateway(url, 'GET', `/api/pairing/${code}`, { token })),
  )
  meets(POLL, 'answers 202 while it is pending', async () => {
    const { code, token } = await initiate()
    for (const by of [token, null]) {
      const { status, json } = await poll(code, by)
      expect([status, json.data.status]).toEqual([202, 'pending'])
    }
    await refuse(code)
    expect(await refusal('GET', `/api/pairing/${code}`, { token })).toEqual([410, 'PAR_005'])
  })
  meets(POLL, 'gives the machine token to its initiator, once', async () => {
    const { params, token } = await completed()
    const first = (await poll(params.code, token)).json.data
    const second = (await poll(params.code, token)).json.data
    expect([first.token.slice(0, 3), second.token, second.machine]).toEqual([
      'mn_',
      null,
      { ...first.machine, token: null },
    ])
    expect(await data('GET', '/api/machines?per_page=1', { token: first.token })).toHaveLength(1)
  })
  meets(POLL, 'gives nobody the token for the code alone', async () => {
    const { params, token } = await completed()
    const { status, json } = await poll(params.code)
    expect([status, json.data.status, json.data.token, json.data.machine.token]).toEqual([200, 'completed', null, null])
    expect((await poll(params.code, token)).json.data.token).toMatch(/^mn_/)
  })
  meets(POLL, 'gives an agent without a token its own where whoever completes it allows that', async () => {
    const { code } = await initiate()
    expect((await complete(code, { allow_legacy: true })).status).toBe(201)
    const tokens = [(await poll(code)).json.data.token, (await poll(code)).json.data.token]
    expect(tokens).toEqual([expect.stringMatching(/^mn_/), null])
  })
  meets(POLL, 'takes a wrong token for no pairing, and three of them for the end', async () => {
    const { code, token } = await initiate()
    for (let n = 0; n < 3; n++) {
      expect(await refusal('GET', `/api/pairing/${code}`, { token: `${token}x` })).toEqual([404, 'PAR_001'])
    }
    expect(await refusal('GET', `/api/pairing/${code}`, { token })).toEqual([410, 'PAR_005'])
    expect(await refusal('POST', `/api/pairing/${code}/complete`)).toEqual([410, 'PAR_005'])
  })
}

function completeRequirements(): void {
  example(COMPLETE, started, ({ machine }) =>
    expect(machine).toMatchObject({ name: 'My MacBook Pro', platform: 'linux', hostname: 'dev-box' }),
  )
  refuses(COMPLETE, 'PAR_001', unknown)
  refusesElsewhere(COMPLETE, 'PAR_002', () =>
    afterFiveMinutes((url, { code }) =>
      callGateway(url, 'POST', `/api/pairing/${code}/complete`, { token: theLab().token }),
    ),
  )
  refuses(COMPLETE, 'PAR_003', async () => ({ params: (await completed()).params }))
  meets(COMPLETE, 'names the machine by its host name where no name is given', async () => {
    const hostname = fresh('box')
    const { code } = await initiate({ agent_info: { hostname } })
    const { machine } = await data('POST', `/api/pairing/${code}/complete`)
    expect(await data('GET', `/api/machines/${machine.id}`)).toMatchObject({ name: hostname, status: 'offline' })
    const nameless = await initiate({ agent_info: {} })
    const { json } = await complete(nameless.code)
    expect(json.error.errors).toHaveProperty('name')
    await refuse(nameless.code)
  })
  meets(COMPLETE, 'succeeds once of twenty at the same time', async () => {
    const name = fresh('once')
    const { code } = await initiate()
    const answers = await Promise.all(Array.from({ length: 20 }, () => complete(code, { name })))
    expect(answers.filter(({ status }) => status === 201)).toHaveLength(1)
    const others = answers.filter(({ status }) => status !== 201).map(({ json }) => json.error.code)
    expect(new Set(others)).toEqual(new Set(['PAR_003']))
    expect(await data('GET', `/api/machines?search=${name}`)).toHaveLength(1)
  })
  meets(COMPLETE, 'completes at any gateway of the mesh', async () => {
    const [one, two] = labs()
    for (const [from, at] of [
      [one, two],
      [two, one],
    ] as const) {
      const { json } = await from.call('POST', '/api/pairing/initiate', { token: null, body: agent })
      const { code, token } = json.data
      expect((await at.call('POST', `/api/pairing/${code.toLowerCase()}/complete`)).status).toBe(201)
      expect((await at.call('GET', `/api/pairing/${code}`, { token })).status).toBe(404)
      expect((await from.call('GET', `/api/pairing/${code}`, { token })).json.data.token).toMatch(/^mn_/)
    }
    const shared = { ...agent, code: 'WWW-333' }
    for (const lab of labs()) await lab.call('POST', '/api/pairing/initiate', { token: null, body: shared })
    expect(await refusal('POST', '/api/pairing/WWW-333/complete')).toEqual([409, 'PAR_004'])
    await refuse('WWW-333')
    expect(await waiting()).not.toContain('WWW-333')
  })
  meets(COMPLETE, 'makes a machine whose token has the abilities of a machine only', async () => {
    const { params, token } = await completed()
    const { token: machine } = (await poll(params.code, token)).json.data
    expect(await refusal('POST', '/api/machines', { token: machine, body: { name: 'x' } })).toEqual([403, 'AUTH_006'])
    expect(await refusal('GET', '/api/auth/tokens', { token: machine })).toEqual([403, 'AUTH_006'])
    const reader = await theLab().tokenWith(['machine:read'])
    const { code } = await initiate()
    expect(await refusal('POST', `/api/pairing/${code}/complete`, { token: reader.token })).toEqual([403, 'AUTH_006'])
    await refuse(code)
  })
}

function peopleRequirements(): void {
  const list = 'GET /api/pairing'
  meets(list, 'lists what waits at any gateway', async () => {
    await refuseAll()
    const codes: string[] = await Promise.all(
      labs().map(async (lab) => {
        const { json } = await lab.call('POST', '/api/pairing/initiate', { token: null, body: agent })
        return json.data.code
      }),
    )
    const { pairings, unreachable } = await data('GET', '/api/pairing')
    expect(pairings.map((pending: Json) => pending.code).toSorted()).toEqual(codes.toSorted())
    expect(pairings.map((pending: Json) => pending.gateway).toSorted()).toEqual(['nest', 'second'])
    expect(pairings[0]).toMatchObject({ kind: 'agent', name: 'dev-box', address: 'loopback', words: null })
    expect(unreachable).toEqual([])
    for (const code of codes) await refuse(code)
  })
  example(list, async () => {
    await initiate({ ...agent, code: 'LLL-222' })
    return {}
  })
  const refused = 'POST /api/pairing/:code/refuse'
  example(refused, () => ({ params: { code: 'LLL-222' } }))
  refuses(refused, 'PAR_001', unknown)
  meets(refused, 'ends the pairing', async () => {
    const { code, token } = await initiate()
    await data('POST', `/api/pairing/${code}/refuse`)
    expect(await refusal('POST', `/api/pairing/${code}/complete`)).toEqual([410, 'PAR_005'])
    expect(await refusal('GET', `/api/pairing/${code}`, { token })).toEqual([410, 'PAR_005'])
    expect(await waiting()).not.toContain(code)
  })
  const cancel = 'DELETE /api/pairing/:code'
  example(cancel, async () => {
    const { code, token } = await initiate()
    return { params: { code }, token }
  })
  refuses(cancel, 'PAR_001', unknown)
  revealRequirements()
}

async function refuseAll(): Promise<void> {
  for (const code of await waiting()) await refuse(code)
}

/** What a node does, step by step. */
function revealRequirements(): void {
  const reveal = 'POST /api/pairing/:code/reveal'
  const machine = { peer: identity(77).peer, boxKey: crypto.sha256(new Uint8Array([7])) }
  const nonce = fromHex('ab'.repeat(32))
  const node = {
    peer_id: machine.peer,
    box_key: toHex(machine.boxKey),
    commitment: toHex(pairingCommitment(crypto, machine, nonce)),
  }
  example(reveal, async () => {
    const { code, token } = await initiate({ ...agent, node, code: 'NNN-222' })
    return { params: { code }, token }
  })
  refuses(reveal, 'PAR_001', unknown)
  meets(reveal, 'gives both ends the same words, and a man in the middle others', async () => {
    const { code, token, gateway: said } = await initiate({ ...agent, node })
    const gateway: PairingGateway = {
      mesh: said.mesh_id,
      peer: said.peer_id,
      boxKey: fromHex(said.box_key),
      nonce: fromHex(said.nonce),
      tlsFingerprint: said.tls_fingerprint,
    }
    await data('POST', `/api/pairing/${code}/reveal`, { token, body: { nonce: toHex(nonce) } })
    const { pairings } = await data('GET', '/api/pairing')
    const shown = pairings.find((pending: Json) => pending.code === code).words
    const wordsOf = (of: typeof machine, at = gateway) =>
      pairingWords(pairingDigest(crypto, { code, machine: of, nonce, gateway: at }))
    expect(shown).toBe(wordsOf(machine))
    expect(shown.split(' ')).toHaveLength(5)
    const swapped = crypto.sha256(new Uint8Array([8]))
    expect([
      wordsOf({ ...machine, boxKey: swapped }),
      wordsOf({ ...machine, peer: identity(78).peer }),
      wordsOf(machine, { ...gateway, boxKey: swapped }),
      wordsOf(machine, { ...gateway, tlsFingerprint: 'AB:CD' }),
    ]).not.toContain(shown)
    expect((await complete(code)).json.error.errors).toEqual({ words: [expect.stringContaining('Compare')] })
    for (const pending of pairings) await refuse(pending.code)
  })
}

/** From a gateway over the same node whose pairings go by a clock that can be moved. */
async function afterFiveMinutes(
  ask: (url: string, pairing: { code: string; token: string }) => Promise<Answer>,
): Promise<Answer> {
  const { services, log } = theLab()
  const lab = startPairingLab()
  const opened = lab.pairing.initiate({ agent: { hostname: 'dev-box' } }, 'loopback')
  if (!opened.ok) throw new Error(opened.error.message)
  await lab.mesh.clock.advance(PAIRING_MS)
  const { gateway, url } = await openGateway({ services: { ...services, pairing: lab.pairing }, log })
  try {
    return await ask(url, opened.value)
  } finally {
    await gateway.close()
    lab.pairing.stop()
  }
}
