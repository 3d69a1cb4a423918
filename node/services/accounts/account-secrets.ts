import type { Random } from '../../ports/random.ts'

/** `cn_` for people, `mn_` for bridged machines; 256 bits. A `cn_rt_` token opens nothing but a new pair. */
const TOKEN = /^(?:cn|mn)_[A-Za-z0-9_-]{43}$/

/** Crockford's alphabet: no I, L, O, U, so that a code can be read out and typed. */
const CODE_ALPHABET = '0123456789ABCDEFGHJKMNPQRSTVWXYZ'
const CODE_GROUP_CHARS = 4

/** 140 bits. */
export const SETUP_CODE_GROUPS = 7
/** 140 bits: an invitation is good for days, so it must not be guessable over the network or from its stored hash. */
export const INVITE_CODE_GROUPS = 7
/** 100 bits, behind argon2id. */
export const PASSWORD_GROUPS = 5

export const looksLikeToken = (text: string): boolean => TOKEN.test(text)

export const newToken = (kind: 'cn' | 'cn_rt' | 'mn', random: Random): string => `${kind}_${newSecret(random)}`

/** 256 bits that need no escaping in a URL. */
export function newSecret(random: Random): string {
  const base64 = btoa(String.fromCharCode(...random.bytes(32)))
  return base64.replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '')
}

/** `XXXX-XXXX-…` of 5 random bits per character. */
export function newCode(groups: number, random: Random): string {
  const chars = Array.from(random.bytes(groups * CODE_GROUP_CHARS), (byte) => CODE_ALPHABET.charAt(byte & 31))
  return Array.from({ length: groups }, (_, at) =>
    chars.slice(at * CODE_GROUP_CHARS, (at + 1) * CODE_GROUP_CHARS).join(''),
  ).join('-')
}

/** A code as a person may have typed it. */
export const normaliseCode = (code: string): string =>
  code
    .toUpperCase()
    .replaceAll(/[^0-9A-Z]/g, '')
    .replaceAll('O', '0')
    .replaceAll(/[IL]/g, '1')
