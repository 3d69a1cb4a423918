/** Who can make this program decode bytes of their choice. */
export type Reach = 'a stranger' | 'a member' | 'an inviter' | 'a browser' | 'a local user'

/** One way by which bytes from elsewhere come in. */
export type Target = {
  readonly name: string
  readonly reach: Reach
  /** The places in the source where it decodes, as `sitesIn` finds them. */
  readonly sites: readonly string[]
  /** What the bytes are made of, for mutations that keep them well-formed. */
  readonly form: 'cbor' | 'json' | 'bytes'
  /** Valid ones: each is accepted as it is. */
  readonly samples: readonly Uint8Array[]
  /** Hands the bytes in; throws only what is declared. */
  readonly take: (bytes: Uint8Array) => unknown
  /** The declared way of refusing by exception; most refuse by value. */
  readonly isRefusal: (error: unknown) => boolean
}

export const never = (): boolean => false
export const textOf = (bytes: Uint8Array): string => new TextDecoder().decode(bytes)
export const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text)
export const jsonOf = (value: unknown): Uint8Array => bytesOf(JSON.stringify(value))
