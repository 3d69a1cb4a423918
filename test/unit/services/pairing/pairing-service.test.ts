import nacl from 'tweetnacl'
import { afterEach, describe, expect, it } from 'vitest'
import { DEFAULT_CAPABILITIES } from '../../../../crdt/capability.ts'
import { domainError } from '../../../../crdt/errors.ts'
import type { Result } from '../../../../crdt/result.ts'
import type { CompletionChoice, PairingOpened, PairingProgress } from '../../../../node/services/pairing/pairing.ts'
import { OPEN_MAX, OPEN_PER_ADDRESS_MAX, WRONG_TRIES_MAX } from '../../../../node/services/pairing/pairing-book.ts'
import { pairingWords } from '../../../../node/adapters/pairing-words.ts'
import {
  PAIRING_CODE,
  PAIRING_MS,
  pairingCode,
  pairingCommitment,
  pairingDigest,
  typedPairingCode,
} from '../../../../protocols/pairing.ts'
import { crypto, identity } from '../../../support/identity.ts'
import { startPairingLab, type PairingLab } from '../../../support/pairing-lab.ts'
import { settle } from '../../../support/services-mesh.ts'

const labs: PairingLab[] = []
const start = (...args: Parameters<typeof startPairingLab>): PairingLab => {
  const lab = startPairingLab(...args)
  labs.push(lab)
  return lab
}
afterEach(() => {
  for (const { pairing } of labs.splice(0)) pairing.stop()
})

const value = <T>(result: Result<T>): T => {
  if (!result.ok) throw new Error(`${result.error.code}: ${result.error.message}`)
  return result.value
}
const codeOf = (result: Result<unknown>): string => (result.ok ? 'ok' : result.error.code)
const tokenOf = (result: Result<PairingProgress>): unknown => {
  const progress = value(result)
  return progress.status === 'completed' ? progress.secret : progress.status
}

const agent = { agent: { hostname: 'dev-box', platform: 'linux' } }
const plain: CompletionChoice = { allowLegacy: false }
const open = ({ pairing }: PairingLab, address = 'loopback'): PairingOpened => value(pairing.initiate(agent, address))

describe('a pairing', () => {
  it('lasts five minutes, also through a suspension of the gateway', async () => {
    const lab = start()
    const { code, token, expiresAt } = open(lab)
    expect(Date.parse(expiresAt) - lab.mesh.clock.wallMs()).toBe(PAIRING_MS)
    await lab.mesh.clock.advance(PAIRING_MS - 1)
    expect(value(await lab.pairing.poll(code, token, 0)).status).toBe('pending')
    lab.mesh.clock.suspend(1)
    expect(codeOf(await lab.pairing.poll(code, token, 0))).toBe('pairing_expired')
    expect(codeOf(await lab.pairing.complete(lab.actor, code, plain))).toBe('pairing_expired')
    await lab.mesh.clock.advance(60 * 60_000)
    expect(codeOf(await lab.pairing.poll(code, token, 0))).toBe('pairing_not_found')
  })

  it('answers whoever waits as soon as it is over, and after the wait otherwise', async () => {
    const lab = start()
    const { code, token } = open(lab)
    const early = lab.pairing.poll(code, token, 25_000)
    const late = lab.pairing.poll(code, token, 25_000)
    expect(tokenOf(await early), 'a newer poll takes its place').toBe('pending')
    value(await lab.pairing.complete(lab.actor, code, plain))
    expect(tokenOf(await late)).toEqual({ token: 'mn_0' })
    const next = open(lab)
    const waits = lab.pairing.poll(next.code, next.token, 25_000)
    await lab.mesh.clock.advance(25_000)
    expect(tokenOf(await waits)).toBe('pending')
  })

  it('keeps what it is to hand over for five minutes, and then no longer', async () => {
    const lab = start()
    const { code, token } = open(lab)
    await lab.mesh.clock.advance(PAIRING_MS - 1)
    value(await lab.pairing.complete(lab.actor, code, plain))
    await lab.mesh.clock.advance(PAIRING_MS - 1)
    const other = open(lab)
    value(await lab.pairing.complete(lab.actor, other.code, plain))
    expect(tokenOf(await lab.pairing.poll(code, token, 0))).toEqual({ token: 'mn_0' })
    await lab.mesh.clock.advance(PAIRING_MS)
    expect(tokenOf(await lab.pairing.poll(other.code, other.token, 0))).toBeNull()
  })

  it('waits on when what was to be made could not be', async () => {
    const lab = start()
    const { code } = open(lab)
    lab.failure = domainError('storage_failed')
    expect(codeOf(await lab.pairing.complete(lab.actor, code, plain))).toBe('storage_failed')
    lab.failure = undefined
    value(await lab.pairing.complete(lab.actor, code, plain))
    expect(lab.registered).toEqual(['dev-box'])
    expect(codeOf(await lab.pairing.refuse(lab.actor, code))).toBe('pairing_completed')
  })

  it('[T6] is completed once, whoever else completes, refuses or cancels it at the same time', async () => {
    const lab = start()
    const { code, token } = open(lab)
    const all = await Promise.all([
      ...Array.from({ length: 20 }, () => lab.pairing.complete(lab.actor, code, plain)),
      lab.pairing.refuse(lab.actor, code),
    ])
    expect(all.map(codeOf).filter((answer) => answer === 'ok')).toHaveLength(1)
    expect(codeOf(lab.pairing.cancel(code, token))).toBe('pairing_completed')
    expect(lab.registered).toEqual(['dev-box'])
  })

  it('is told of at its gateway when it begins and when it ends', async () => {
    const lab = start()
    const { code } = open(lab)
    value(await lab.pairing.refuse(lab.actor, code))
    expect(lab.node.told).toEqual([{ type: 'pairing.changed' }, { type: 'pairing.changed' }])
  })
})

describe('limits of pairing', () => {
  it(`lets ${OPEN_MAX} wait, ${OPEN_PER_ADDRESS_MAX} from one address, until one is over`, async () => {
    const lab = start()
    const from = (address: string) => Array.from({ length: OPEN_PER_ADDRESS_MAX }, () => open(lab, address))
    const first = from('192.168.1.4')
    expect(codeOf(lab.pairing.initiate(agent, '192.168.1.4'))).toBe('rate_limited')
    from('192.168.1.5')
    expect(codeOf(lab.pairing.initiate(agent, '192.168.1.6'))).toBe('rate_limited')
    expect(codeOf(lab.pairing.cancel(first[0]!.code, first[0]!.token))).toBe('ok')
    expect(codeOf(lab.pairing.initiate(agent, '192.168.1.6'))).toBe('ok')
  })

  it('[P1] ends a pairing after three wrong tokens', async () => {
    const lab = start()
    const { code, token } = open(lab)
    for (let n = 0; n < WRONG_TRIES_MAX; n++)
      expect(codeOf(await lab.pairing.poll(code, `${token}x`, 0))).toBe('pairing_not_found')
    expect(codeOf(await lab.pairing.poll(code, token, 0))).toBe('pairing_refused')
  })

  it('looks up no code for guessers, while who has a token is served', async () => {
    const lab = start()
    const { code, token } = open(lab)
    const answers: string[] = []
    for (let n = 0; n < 32; n++) answers.push(codeOf(await lab.pairing.poll('ZZZ-ZZZ', undefined, 0)))
    expect(answers.slice(-2)).toEqual(['pairing_not_found', 'rate_limited'])
    expect(codeOf(await lab.pairing.poll(code, undefined, 0))).toBe('rate_limited')
    expect(tokenOf(await lab.pairing.poll(code, token, 0))).toBe('pending')
    await lab.mesh.clock.advance(20_000)
    expect(tokenOf(await lab.pairing.poll(code, undefined, 0))).toBe('pending')
  })
})

const NONCE = crypto.sha256(new Uint8Array([1]))

function machine(n: number) {
  const box = nacl.box.keyPair.fromSecretKey(crypto.sha256(new Uint8Array([n])))
  return { peer: identity(n).peer, boxKey: box.publicKey, secret: box.secretKey }
}

/** A node that has said its part. */
function openNode(lab: PairingLab, of = machine(9)) {
  const commitment = pairingCommitment(crypto, of, NONCE)
  const { code, token, gateway } = value(
    lab.pairing.initiate({ ...agent, node: { peer: of.peer, boxKey: of.boxKey, commitment } }, 'loopback'),
  )
  value(lab.pairing.reveal(code, token, NONCE))
  const words = pairingWords(pairingDigest(crypto, { code, machine: of, nonce: NONCE, gateway: gateway! }))
  return { code, token, gateway: gateway!, words, of }
}

describe('a node that is paired', () => {
  it('[M9] gets a ticket that only its box key opens, from whoever has seen its words', async () => {
    const lab = start()
    const { code, token, gateway, words, of } = openNode(lab)
    expect(value(await lab.pairing.list(lab.actor)).pairings).toMatchObject([{ kind: 'node', words }])
    expect(codeOf(await lab.pairing.complete(lab.actor, code, plain))).toBe('invalid_input')
    const choice = { ...plain, words: ` ${words.toUpperCase().replaceAll(' ', ' - ')}`, name: 'laptop' }
    expect(value(await lab.pairing.complete(lab.actor, code, choice)).machine).toMatchObject({
      name: 'laptop',
      status: 'connecting',
    })
    const progress = value(await lab.pairing.poll(code, token, 0))
    const secret = progress.status === 'completed' ? progress.secret : null
    if (secret === null || !('sealed' in secret)) throw new Error('nothing was sealed')
    const { box, nonce } = secret.sealed
    const letter = nacl.box.open(box, nonce, gateway.boxKey, of.secret)
    expect(JSON.parse(new TextDecoder().decode(letter ?? undefined))).toEqual({
      ticket: 'rook1-for-one',
      name: 'laptop',
    })
    expect(nacl.box.open(box, nonce, gateway.boxKey, machine(8).secret), '[P2] whoever swapped the keys').toBeNull()
    expect(tokenOf(await lab.pairing.poll(code, token, 0))).toBeNull()
  })

  it('[P2] is over after three times the wrong words, or a nonce that was not committed to', async () => {
    const lab = start()
    const { code, token, words } = openNode(lab)
    for (let n = 0; n < WRONG_TRIES_MAX; n++) {
      const wrong = { ...plain, words: 'abandon ability able about above' }
      expect(codeOf(await lab.pairing.complete(lab.actor, code, wrong))).toBe('invalid_input')
    }
    expect(codeOf(await lab.pairing.complete(lab.actor, code, { ...plain, words }))).toBe('pairing_refused')
    const other = openNode(lab, machine(7))
    const nonce = crypto.sha256(new Uint8Array([2]))
    for (let n = 0; n < WRONG_TRIES_MAX; n++)
      expect(codeOf(lab.pairing.reveal(other.code, other.token, nonce))).toBe('invalid_input')
    expect(codeOf(lab.pairing.reveal(other.code, other.token, NONCE))).toBe('pairing_refused')
    expect(codeOf(lab.pairing.reveal(code, token, NONCE))).toBe('pairing_refused')
  })

  it('takes somebody who may admit machines, at gateways that may, and a machine that is no member', async () => {
    const one = start()
    const two = start(one.mesh, 2, [...DEFAULT_CAPABILITIES])
    one.node.sees(two.node.peer, 'online')
    await settle()
    const { code, words } = openNode(one)
    const choice = { ...plain, words }
    const narrow = { ...one.actor, abilities: ['machine:write'] }
    expect(codeOf(await one.pairing.complete(narrow, code, choice))).toBe('forbidden')
    expect(codeOf(await two.pairing.complete(two.actor, code, choice))).toBe('machine_refused')
    const commitment = NONCE
    const node = { peer: identity(9).peer, boxKey: machine(9).boxKey, commitment }
    expect(codeOf(two.pairing.initiate({ ...agent, node }, 'loopback'))).toBe('forbidden')
    const member = openNode(one, { ...machine(9), peer: two.node.peer })
    expect(codeOf(await one.pairing.complete(one.actor, member.code, { ...plain, words: member.words }))).toBe(
      'forbidden',
    )
    expect(codeOf(await one.pairing.complete(one.actor, code, choice))).toBe('ok')
  })
})

describe('codes', () => {
  it('are six of 32 characters that are not mistaken for each other, typed in any way', () => {
    const all = Array.from({ length: 256 }, (_, n) => pairingCode(new Uint8Array(6).fill(n)))
    expect(all.every((code) => PAIRING_CODE.test(code))).toBe(true)
    expect(new Set(all).size).toBe(32)
    expect(['abc234', ' abc-234 ', 'ABC 234'].map(typedPairingCode)).toEqual(['ABC-234', 'ABC-234', 'ABC-234'])
    expect(['', 'ABC', 'ABC-2345', 'AB0-234'].map(typedPairingCode)).toEqual([
      undefined,
      undefined,
      undefined,
      undefined,
    ])
  })
})
