import nacl from 'tweetnacl'
import type * as Y from 'yjs'
import { z } from 'zod'
import { sealedKeys } from '../../../crdt/account-document.ts'
import { PeerId } from '../../../crdt/ids.ts'
import type { Member, Membership } from '../../../protocols/membership/membership.ts'
import type { Random } from '../../ports/random.ts'

/**
 * `<number>.<maker>`: two gateways that make a new key at the same time make two keys, not two meanings of one. The
 * keys of makers who still serve users come first, then the higher number.
 */
const KEY_NAME = /^([1-9][0-9]{0,14}\.12D3KooW[1-9A-HJ-NP-Za-km-z]{44})\/(12D3KooW[1-9A-HJ-NP-Za-km-z]{44})$/

const bytes = (length: number) =>
  z.instanceof(Uint8Array).refine((value) => value.byteLength === length, `must be ${length} bytes`)
const SealedKey = z.strictObject({
  from: PeerId,
  nonce: bytes(nacl.box.nonceLength),
  box: bytes(nacl.secretbox.keyLength + nacl.box.overheadLength),
})
type SealedKey = z.infer<typeof SealedKey>

export type HeldKey = { readonly id: string; readonly key: Uint8Array }
export type KeyRing = ReadonlyMap<string, HeldKey>

/** This node's part in the sealing of keys. */
export type KeySealer = { readonly self: PeerId; readonly boxSecretKey: Uint8Array; readonly random: Random }

/** Members that serve users and so may read accounts, the most senior first. */
export const gatewaysOf = (membership: Membership): readonly Member[] =>
  [...membership.members.values()]
    .filter((member) => member.capabilities.has('gateway'))
    .sort((a, b) => a.seniority - b.seniority)

/**
 * Opens every key that is sealed for us and not in `ring` yet. A key counts only when a gateway (or we ourselves)
 * sealed it: another member could otherwise make us encrypt under a key it knows.
 */
export function openKeys(state: Y.Doc, ring: KeyRing, gateways: readonly Member[], sealer: KeySealer): HeldKey[] {
  const opened: HeldKey[] = []
  for (const { id, peer, sealed } of entries(state)) {
    if (peer !== sealer.self || ring.has(id)) continue
    const senderKey =
      sealed.from === sealer.self
        ? nacl.box.keyPair.fromSecretKey(sealer.boxSecretKey).publicKey
        : gateways.find((gateway) => gateway.peer === sealed.from)?.boxKey
    const key = senderKey && nacl.box.open(sealed.box, sealed.nonce, senderKey, sealer.boxSecretKey)
    if (key) opened.push({ id, key })
  }
  return opened
}

/** The key that new records are encrypted with. */
export function currentKey(ring: KeyRing, gateways: readonly Member[]): HeldKey | undefined {
  const serves = (key: HeldKey): boolean => gateways.some(({ peer }) => peer === makerOf(key.id))
  return [...ring.values()].sort(
    (a, b) =>
      Number(serves(b)) - Number(serves(a)) ||
      numberOf(b.id) - numberOf(a.id) ||
      (makerOf(a.id) < makerOf(b.id) ? -1 : 1),
  )[0]
}

/** True when somebody who is no gateway any more can open the current key. */
export function needsRotation(state: Y.Doc, current: HeldKey, gateways: readonly Member[]): boolean {
  const serves = (peer: string): boolean => gateways.some((gateway) => gateway.peer === peer)
  return !serves(makerOf(current.id)) || entries(state).some(({ id, peer }) => id === current.id && !serves(peer))
}

/** A key of our own making, with a higher number than any seen. */
export function makeKey(state: Y.Doc, sealer: KeySealer): HeldKey {
  const highest = Math.max(0, ...entries(state).map(({ id }) => numberOf(id)))
  return { id: `${highest + 1}.${sealer.self}`, key: sealer.random.bytes(nacl.secretbox.keyLength) }
}

/**
 * The held keys that a gateway cannot open yet (or could no longer open after a restart, because its sealer has left).
 * Everyone seals once more for itself, so that nobody's leaving takes a key away from others.
 */
export function missingSeals(
  state: Y.Doc,
  ring: KeyRing,
  gateways: readonly Member[],
  self: PeerId,
): { readonly key: HeldKey; readonly member: Member }[] {
  const sealers = new Map(entries(state).map(({ id, peer, sealed }) => [`${id}/${peer}`, sealed.from]))
  const isMissing = (key: HeldKey, { peer }: Member): boolean => {
    const from = sealers.get(`${key.id}/${peer}`)
    if (peer === self) return from !== self
    return from !== peer && !gateways.some((gateway) => gateway.peer === from)
  }
  return [...ring.values()].flatMap((key) =>
    gateways.filter((member) => isMissing(key, member)).map((member) => ({ key, member })),
  )
}

/** Writes one key, readable by one member. */
export function sealKey(state: Y.Doc, key: HeldKey, member: Member, sealer: KeySealer): void {
  const nonce = sealer.random.bytes(nacl.box.nonceLength)
  const box = nacl.box(key.key, nonce, member.boxKey, sealer.boxSecretKey)
  sealedKeys(state).set(`${key.id}/${member.peer}`, { from: sealer.self, nonce, box } satisfies Record<
    keyof SealedKey,
    unknown
  >)
}

/** Nobody has made a key in this mesh yet. */
export const hasNoKeys = (state: Y.Doc): boolean => sealedKeys(state).size === 0

function entries(state: Y.Doc): { id: string; peer: PeerId; sealed: SealedKey }[] {
  return [...sealedKeys(state)].flatMap(([name, value]) => {
    const [, id, to] = KEY_NAME.exec(name) ?? []
    const peer = PeerId.safeParse(to)
    const sealed = SealedKey.safeParse(value)
    return id !== undefined && peer.success && sealed.success ? [{ id, peer: peer.data, sealed: sealed.data }] : []
  })
}

const numberOf = (id: string): number => Number(id.slice(0, id.indexOf('.')))
export const makerOf = (id: string): string => id.slice(id.indexOf('.') + 1)
