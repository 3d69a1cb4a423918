import { z } from 'zod'
import { ABILITIES } from './actor.ts'
import { MachineId, PeerId, TokenId, UserId } from './ids.ts'
import type { UserRole } from './user.ts'

/*
 * What the `accounts` document holds, after decryption. A fact that takes something away (revoked, disabled, a newer
 * password) is a record of its own, never a change of an older record: whoever rewrites the older one at the same time
 * (to encrypt it under a new key) can then not undo it. Times are wall-clock milliseconds.
 */

export const NAME_CHARS_MAX = 100
export const EMAIL_CHARS_MAX = 254
export const PASSWORD_CHARS = { min: 8, max: 256 } as const

const TimeMs = z.int().min(0)
const Role = z.enum(['owner', 'member'])
const Digest = z.instanceof(Uint8Array).refine((bytes) => bytes.byteLength === 32, 'must be 32 bytes')
const Email = z.string().min(3).max(EMAIL_CHARS_MAX)

const UserRecord = z.strictObject({
  name: z.string().min(1).max(NAME_CHARS_MAX),
  email: Email,
  avatarUrl: z.string().max(2048).nullable(),
  emailVerifiedAtMs: TimeMs.nullable(),
  role: Role,
  createdAtMs: TimeMs,
})
export type UserRecord = z.infer<typeof UserRecord>

const PasswordRecord = z.strictObject({ hash: z.string().min(1).max(512) })

const DisabledRecord = z.strictObject({ atMs: TimeMs })

const TokenOwner = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('user'), id: UserId }),
  z.strictObject({ kind: z.literal('machine'), id: MachineId }),
])
export type TokenOwner = z.infer<typeof TokenOwner>

const TokenRecord = z.strictObject({
  owner: TokenOwner,
  /** SHA-256 of the token's text, which is stored nowhere. */
  hash: Digest,
  name: z.string().min(1).max(NAME_CHARS_MAX),
  abilities: z.array(z.string().min(1).max(64)).max(64),
  createdAtMs: TimeMs,
  expiresAtMs: TimeMs.nullable(),
  /** The user's password generation when it was issued: a newer password ends every older token. */
  generation: z.int().min(0),
  /** The node that issued it: what a removed gateway issued is void. */
  gateway: PeerId,
  /** Made by signing in, not by asking for a token. */
  signIn: z.boolean(),
})
export type TokenRecord = z.infer<typeof TokenRecord>

/** `untilMs`: when the token would have expired anyway, and this record may go with it. */
const RevokedRecord = z.strictObject({ atMs: TimeMs, untilMs: TimeMs.nullable() })
const UsedRecord = z.strictObject({ atMs: TimeMs })

const InviteRecord = z.strictObject({
  /** SHA-256 of the code's text. */
  hash: Digest,
  role: Role,
  /** Only this address may use it. */
  email: Email.nullable(),
  /** The user it lets set a first password; null when it makes a new user. */
  userId: UserId.nullable(),
  createdAtMs: TimeMs,
  expiresAtMs: TimeMs,
})
export type InviteRecord = z.infer<typeof InviteRecord>

/** `untilMs`: when the invitation would have expired anyway. */
const RedeemedRecord = z.strictObject({ atMs: TimeMs, untilMs: TimeMs, userId: UserId })

export const IDENTITY_PROVIDERS = ['google', 'github'] as const
export type IdentityProviderName = (typeof IDENTITY_PROVIDERS)[number]

/** Who signs in through a provider is told by the provider's own number for the account, never by its address. */
const IdentityRecord = z.strictObject({
  userId: UserId,
  provider: z.enum(IDENTITY_PROVIDERS),
  subject: z.string().min(1).max(255),
  atMs: TimeMs,
})
export type IdentityRecord = z.infer<typeof IdentityRecord>

/** Somebody who may make users has said that the address is this user's. */
const VouchedRecord = z.strictObject({ atMs: TimeMs })

const Uuid = z.string().regex(/^[0-9a-f-]{36}$/)

/**
 * Each refresh token is good once and names the one it replaced. Two that replaced the same one show that somebody has
 * a copy, on whichever gateways that was done.
 */
const RefreshRecord = z.strictObject({
  userId: UserId,
  family: Uuid,
  parent: Uuid.nullable(),
  hash: Digest,
  /** The access token that was issued together with it. */
  access: TokenId,
  createdAtMs: TimeMs,
  expiresAtMs: TimeMs,
  generation: z.int().min(0),
  gateway: PeerId,
})
export type RefreshRecord = z.infer<typeof RefreshRecord>

/** A family of refresh tokens that is over. `untilMs`: when the last of it would have expired anyway. */
const EndedRecord = z.strictObject({ atMs: TimeMs, untilMs: TimeMs })

/** What a client remembers for its user, as JSON; each key is a record of its own, so that none undoes another. */
export const PREFERENCE_CHARS_MAX = 2048
const PreferenceRecord = z.strictObject({ json: z.string().max(PREFERENCE_CHARS_MAX), atMs: TimeMs })
export const PREFERENCE_KEY = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/
/** `<user id>/<key>`. */
const PreferenceId = z.string().regex(/^[0-9a-f-]{36}\/[A-Za-z0-9._-]{1,64}$/)

/** A password's id is `<user id>/<generation>`; the highest generation is in force. */
const PasswordId = z.string().regex(/^[0-9a-f-]{36}\/[1-9][0-9]{0,8}$/)

/** One record with the name it goes by, so that a ciphertext moved under another name is not believed. */
export const AccountRecord = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('user'), id: UserId, value: UserRecord }),
  z.strictObject({ kind: z.literal('password'), id: PasswordId, value: PasswordRecord }),
  z.strictObject({ kind: z.literal('disabled'), id: UserId, value: DisabledRecord }),
  z.strictObject({ kind: z.literal('token'), id: TokenId, value: TokenRecord }),
  z.strictObject({ kind: z.literal('revoked'), id: TokenId, value: RevokedRecord }),
  z.strictObject({ kind: z.literal('used'), id: TokenId, value: UsedRecord }),
  z.strictObject({ kind: z.literal('invite'), id: Uuid, value: InviteRecord }),
  z.strictObject({ kind: z.literal('redeemed'), id: Uuid, value: RedeemedRecord }),
  z.strictObject({ kind: z.literal('identity'), id: Uuid, value: IdentityRecord }),
  z.strictObject({ kind: z.literal('vouched'), id: UserId, value: VouchedRecord }),
  z.strictObject({ kind: z.literal('refresh'), id: Uuid, value: RefreshRecord }),
  z.strictObject({ kind: z.literal('preference'), id: PreferenceId, value: PreferenceRecord }),
  z.strictObject({ kind: z.literal('ended'), id: Uuid, value: EndedRecord }),
])
export type AccountRecord = z.infer<typeof AccountRecord>
export type RecordKind = AccountRecord['kind']

/** The key of the record in the document. */
export type RecordName = `${RecordKind}/${string}`
export const recordName = ({ kind, id }: { kind: RecordKind; id: string }): RecordName => `${kind}/${id}`

/** What a person may do: a member everything but administration, an owner everything. */
export const abilitiesOf = (role: UserRole): readonly string[] => (role === 'owner' ? ['*'] : MEMBER_ABILITIES)

const MEMBER_ABILITIES: readonly string[] = ABILITIES.filter((ability) => !ability.endsWith(':admin'))

/** What a bridged machine may do at most: see the board and work on it, never start or administer anything. */
export const MACHINE_ABILITIES: readonly string[] = [
  'machine:read',
  'project:read',
  'task:read',
  'task:write',
  'task:claim',
  'lock:read',
  'lock:write',
  'context:read',
  'context:write',
]

/** Addresses that differ in case or composition only are one person's. */
export const normaliseEmail = (email: string): string => email.trim().normalize('NFC').toLowerCase()
