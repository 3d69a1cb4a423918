import { z } from 'zod'
import type { PeerId } from '../../crdt/ids.ts'
import { decodeCanonical, encodeCanonical, equalBytes } from '../codec.ts'
import { Bytes, Hash, Signature, type Crypto, type Signer } from '../crypto.ts'

export type LeaseKind = 'config' | 'request' | 'grant' | 'candidate' | 'prepare' | 'promise' | 'accept' | 'seal'

/** Of a batch, 2^10 statements: far more than one frame holds. */
const PATH_MAX = 10

/**
 * One signature over many statements: `sig` signs the root of a Merkle tree whose leaves are the statements, `path` leads
 * from this statement's leaf, number `at`, to the root. A statement signed alone has an empty path.
 */
export const Seal = z.strictObject({
  sig: Signature,
  path: z.array(Hash).max(PATH_MAX),
  at: z
    .int()
    .min(0)
    .max(2 ** PATH_MAX - 1),
})
export type Seal = z.infer<typeof Seal>

/** Something to be signed. `hash` names it: the signature is no part of its identity. */
export type Draft<T> = {
  readonly kind: LeaseKind
  readonly body: T
  /** Canonical encoding of `body`. */
  readonly bytes: Uint8Array
  /** SHA-256 of `bytes`. */
  readonly hash: Uint8Array
}

/** A statement with a signature, which is not known to be genuine before `isSignedBy` has said so. */
export type Signed<T> = Draft<T> & { readonly seal: Seal }

/** How a signed statement lies in frames, records and certificates. */
export const Packed = z.strictObject({ b: Bytes, s: Seal })
export type Packed = z.infer<typeof Packed>

export const pack = ({ bytes, seal }: Signed<unknown>): Packed => ({ b: bytes, s: seal })

/** What it takes to sign as this node and to check what others signed. */
export type Keys = { readonly crypto: Crypto; readonly signer: Signer }

/** Roots of batches that were checked: as many as are under way between a voter and all its members. */
const CHECKED_ROOTS_MAX = 1024

/**
 * Signs and checks the statements of the lease protocol. What is signed is a batch: signing and checking cost as much for
 * a hundred statements as for one, and a root that was checked once is not checked again.
 */
export class Signatures {
  readonly self: PeerId
  readonly #keys: Keys
  readonly #tags = new Map<LeaseKind, Uint8Array>()
  readonly #batchTag: Uint8Array
  readonly #checked = new Map<number, Checked>()

  constructor(keys: Keys) {
    this.#keys = keys
    this.self = keys.signer.peer
    this.#batchTag = tagHash(keys.crypto, 'batch')
  }

  draft<T extends object>(kind: LeaseKind, body: T): Draft<T> {
    const bytes = encodeCanonical(body)
    return { kind, body, bytes, hash: this.#keys.crypto.sha256(bytes) }
  }

  /** Parses a packed statement; its signature is not checked. @throws MalformedError */
  unpack<T extends z.ZodType>(kind: LeaseKind, schema: T, { b, s }: Packed, bytesMax: number): Signed<z.infer<T>> {
    const body = decodeCanonical(schema, b, bytesMax)
    return { kind, body, bytes: b, hash: this.#keys.crypto.sha256(b), seal: s }
  }

  sign<T extends object>(kind: LeaseKind, body: T): Signed<T> {
    const draft = this.draft(kind, body)
    const [seal] = this.seal([draft])
    if (!seal) throw new Error('a batch of one has one seal')
    return { ...draft, seal }
  }

  /** One signature for all, at most 2^10. */
  seal(drafts: readonly Draft<unknown>[]): Seal[] {
    const { crypto, signer } = this.#keys
    const tree = merkleTree(
      crypto,
      drafts.map((draft) => this.#leaf(draft)),
    )
    const root = tree.at(-1)?.[0]
    if (!root) return []
    const sig = signer.sign(this.#rootBytes(root))
    this.#remember({ by: this.self, root, sig })
    return drafts.map((_, at) => ({ sig, path: pathOf(tree, at), at }))
  }

  /** Whether this node, and nobody else, made this statement, as a statement of its kind. */
  isSignedBy(by: PeerId, signed: Signed<unknown>): boolean {
    const { sig, path, at } = signed.seal
    if (at >= 2 ** path.length) return false
    const root = path.reduce<Uint8Array>(
      (node, sibling, level) => inner(this.#keys.crypto, (at >> level) & 1 ? [sibling, node] : [node, sibling]),
      this.#leaf(signed),
    )
    const known = this.#checked.get(keyOf(sig))
    if (known && known.by === by && equalBytes(known.root, root) && equalBytes(known.sig, sig)) return true
    if (!this.#keys.crypto.verify(by, this.#rootBytes(root), sig)) return false
    this.#remember({ by, root, sig })
    return true
  }

  #leaf({ kind, hash }: Draft<unknown>): Uint8Array {
    const { crypto } = this.#keys
    const tag = this.#tags.get(kind) ?? tagHash(crypto, kind)
    this.#tags.set(kind, tag)
    return crypto.sha256(joined([LEAF, tag, hash]))
  }

  #rootBytes(root: Uint8Array): Uint8Array {
    return joined([this.#batchTag, root])
  }

  #remember(checked: Checked): void {
    this.#checked.set(keyOf(checked.sig), checked)
    if (this.#checked.size <= CHECKED_ROOTS_MAX) return
    const oldest = this.#checked.keys().next()
    if (!oldest.done) this.#checked.delete(oldest.value)
  }
}

type Checked = { readonly by: PeerId; readonly root: Uint8Array; readonly sig: Uint8Array }

/** Of a signature: enough to find it. What is found is compared as a whole. */
const keyOf = (sig: Uint8Array): number => sig.subarray(0, 6).reduce((key, byte) => key * 256 + byte, 0)

/** Leaves and inner nodes start differently, so that none can pass for the other (RFC 6962, section 2.1). */
const LEAF = Uint8Array.of(0)
const INNER = Uint8Array.of(1)

const tagHash = (crypto: Crypto, kind: LeaseKind | 'batch'): Uint8Array =>
  crypto.sha256(new TextEncoder().encode(`rookery/lease/1/${kind}`))

const inner = (crypto: Crypto, children: readonly Uint8Array[]): Uint8Array =>
  crypto.sha256(joined([INNER, ...children]))

/** Level by level from the leaves to the root; the last node of an odd level stands for itself and its missing sibling. */
function merkleTree(crypto: Crypto, leaves: readonly Uint8Array[]): Uint8Array[][] {
  const levels: Uint8Array[][] = [[...leaves]]
  for (let level = levels[0]; level && level.length > 1; level = levels.at(-1)) {
    const above: Uint8Array[] = []
    for (let i = 0; i < level.length; i += 2) {
      const left = level[i]
      if (left) above.push(inner(crypto, [left, level[i + 1] ?? left]))
    }
    levels.push(above)
  }
  return levels
}

const pathOf = (tree: readonly (readonly Uint8Array[])[], at: number): Uint8Array[] =>
  tree.slice(0, -1).flatMap((level, height) => {
    const index = at >> height
    return level[index ^ 1] ?? level[index] ?? []
  })

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(parts.reduce((sum, { byteLength }) => sum + byteLength, 0))
  let offset = 0
  for (const part of parts) {
    bytes.set(part, offset)
    offset += part.byteLength
  }
  return bytes
}
