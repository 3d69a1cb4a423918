import nacl from 'tweetnacl'
import { MACHINE_ABILITIES, NAME_CHARS_MAX } from '../../../crdt/account-records.ts'
import type { AccountIndex } from '../../../crdt/account-index.ts'
import { ABILITIES, can, coversAbilities, type Actor } from '../../../crdt/actor.ts'
import { domainError, invalidField } from '../../../crdt/errors.ts'
import type { MachineId, TokenId } from '../../../crdt/ids.ts'
import { err, ok, type Result } from '../../../crdt/result.ts'
import type { ApiToken } from '../../../crdt/user.ts'
import {
  DAY_MS,
  digest,
  isGoodToken,
  issueToken,
  publicToken,
  revocation,
  tokenRecord,
  TOKENS_PER_USER_MAX,
  type AccountContext,
} from './account-context.ts'
import { endedFamily } from './account-refresh.ts'
import { looksLikeToken } from './account-secrets.ts'
import type { IssuedToken } from './account-service.ts'

const TOKEN_DAYS_MAX = 3650
const KNOWN_ABILITIES: readonly string[] = ['*', ...ABILITIES]

/** Tokens of bridged machines: made and ended by the machine service. */
export type MachineTokens = {
  /** A fresh token; the machine's earlier ones end. Never allows more than the actor may do itself. */
  issue(actor: Actor, machine: MachineId, name: string): Promise<Result<{ token: string }>>
  revokeAll(actor: Actor, machine: MachineId): Promise<Result<null>>
}

export type TokenUse = { readonly usedAtMs: Map<TokenId, number> }

/** Who a bearer token speaks for. One hash and one look-up; nothing is written. */
export function authenticate(context: AccountContext, use: TokenUse, text: string): Actor | undefined {
  if (!looksLikeToken(text)) return undefined
  const hash = digest(context.deps.crypto, text)
  const token = context.sealed.index.tokenByHash(hash)
  if (!token || !nacl.verify(token.hash, hash) || !isGoodToken(context, token)) return undefined
  use.usedAtMs.set(token.id, context.deps.clock.wallMs())
  return {
    kind: token.owner.kind,
    id: token.owner.id,
    tokenId: token.id,
    abilities: token.abilities,
    gateway: context.deps.self,
  }
}

/** The user's tokens that are good, oldest first. */
export function listTokens(context: AccountContext, use: TokenUse, actor: Actor): Result<readonly ApiToken[]> {
  if (!can(actor, 'token:manage')) return err(domainError('forbidden'))
  const { index } = context.sealed
  const tokens = index
    .tokensOf(actor.id)
    .filter((token) => isGoodToken(context, token))
    .sort((a, b) => a.createdAtMs - b.createdAtMs || (a.id < b.id ? -1 : 1))
  return ok(tokens.flatMap((token) => publicToken(token, usedAt(use, index, token.id)) ?? []))
}

/** @errors forbidden (more than the actor may itself), invalid_input, limit_reached, storage_failed */
export async function createToken(
  context: AccountContext,
  actor: Actor,
  input: { name: string; abilities: readonly string[]; expiresInDays: number | null },
): Promise<Result<IssuedToken>> {
  const problem = tokenProblem(input)
  if (problem) return err(problem)
  if (!can(actor, 'token:manage') || !coversAbilities(actor.abilities, input.abilities))
    return err(domainError('forbidden', { message: 'A token cannot allow more than the one that makes it.' }))
  const created = await context.sealed.change(actor, (index) => {
    const user = index.userById(actor.id)
    if (actor.kind !== 'user' || !user) return err(domainError('user_not_found'))
    if (index.tokensOf(user.id).filter((token) => isGoodToken(context, token)).length >= TOKENS_PER_USER_MAX)
      return err(domainError('limit_reached', { message: 'This user has too many tokens. Revoke some first.' }))
    const { text, entry } = issueToken(context, {
      owner: { kind: 'user', id: user.id },
      name: input.name.trim(),
      abilities: [...new Set(input.abilities)],
      expiresAtMs: input.expiresInDays === null ? null : context.deps.clock.wallMs() + input.expiresInDays * DAY_MS,
      generation: index.passwordOf(user.id).generation,
      signIn: false,
    })
    return ok({ set: [tokenRecord(entry)], value: { text, entry } })
  })
  if (!created.ok) return created
  const { text, entry } = created.value.value
  const record = publicToken(entry, undefined)
  return record ? ok({ token: text, record }) : err(domainError('internal'))
}

/** Ends one of the actor's own tokens, and the refresh token that came with it. @errors token_not_found, forbidden, storage_failed */
export async function revokeToken(context: AccountContext, actor: Actor, tokenId: string): Promise<Result<null>> {
  if (tokenId !== actor.tokenId && !can(actor, 'token:manage')) return err(domainError('forbidden'))
  const revoked = await context.sealed.change(actor, (index) => {
    const token = index.tokensOf(actor.id).find(({ id }) => id === tokenId)
    if (!token || !isGoodToken(context, token)) return err(domainError('token_not_found'))
    const { set, remove } = revocation(context, [token])
    const issuedWith = index.families.ofAccess(token.id)
    const ended = issuedWith ? [endedFamily(context, index, issuedWith.family)] : []
    return ok({ set: [...set, ...ended], remove, value: null })
  })
  return revoked.ok ? ok(null) : revoked
}

export function createMachineTokens(context: AccountContext): MachineTokens {
  return {
    async issue(actor, machine, name) {
      const issued = await context.sealed.change(actor, (index) => {
        const { text, entry } = issueToken(context, {
          owner: { kind: 'machine', id: machine },
          name,
          abilities: MACHINE_ABILITIES.filter((ability) => coversAbilities(actor.abilities, [ability])),
          expiresAtMs: null,
          generation: 0,
          signIn: false,
        })
        const earlier = revocation(context, index.tokensOf(machine))
        return ok({ set: [tokenRecord(entry), ...earlier.set], remove: earlier.remove, value: { token: text } })
      })
      return issued.ok ? ok(issued.value.value) : issued
    },
    async revokeAll(actor, machine) {
      const revoked = await context.sealed.change(actor, (index) =>
        ok({ ...revocation(context, index.tokensOf(machine)), value: null }),
      )
      return revoked.ok ? ok(null) : revoked
    },
  }
}

/** Other gateways tell when a token was used at most hourly; our own uses are known at once. */
function usedAt(use: TokenUse, index: AccountIndex, id: TokenId): number | undefined {
  const times = [use.usedAtMs.get(id), index.usedAtMs(id)].filter((time) => time !== undefined)
  return times.length === 0 ? undefined : Math.max(...times)
}

function tokenProblem(input: { name: string; abilities: readonly string[]; expiresInDays: number | null }) {
  const name = input.name.trim()
  if (name.length === 0) return invalidField('name', 'The name field is required.')
  if (name.length > NAME_CHARS_MAX)
    return invalidField('name', `The name must be at most ${NAME_CHARS_MAX} characters.`)
  const unknown = input.abilities.find((ability) => !KNOWN_ABILITIES.includes(ability))
  if (unknown !== undefined) return invalidField('abilities', `Unknown ability. Known: ${KNOWN_ABILITIES.join(', ')}.`)
  const days = input.expiresInDays
  if (days !== null && !(Number.isInteger(days) && days >= 1 && days <= TOKEN_DAYS_MAX))
    return invalidField('expires_in_days', `Must be a whole number of days from 1 to ${TOKEN_DAYS_MAX}, or null.`)
  return undefined
}
