import type { AccountIndex, UserEntry } from '../../../crdt/account-index.ts'
import { normaliseEmail, type AccountRecord, type RecordName } from '../../../crdt/account-records.ts'
import { domainError, invalidField } from '../../../crdt/errors.ts'
import { err, ok, type Result } from '../../../crdt/result.ts'
import type { AccountContext, LinkPurpose } from './account-context.ts'
import { nextPassword, passwordProblem, userRecord } from './account-person.ts'
import { signInRefreshably, type RefreshableSignIn } from './account-refresh.ts'
import { createLinkBook, type LinkBook, type LinkGrant } from './link-book.ts'
import { createLinkPost } from './link-post.ts'

/** Signing in, and setting a password, by what was mailed to one's address. */
export type LinkSignIn = {
  /**
   * Mails a link, if the address is somebody's. Whether it is can be told neither by the answer nor by when it comes.
   * @errors link_unavailable
   */
  requestLink(purpose: LinkPurpose, email: string): Result<null>
  /** Shows that the address is the user's. @errors link_invalid, storage_failed */
  signInByLink(secret: string): Promise<Result<RefreshableSignIn>>
  /**
   * Ends all of the user's tokens. With an address it must be the one the code was mailed to.
   * @errors invalid_input, link_invalid, rate_limited, storage_failed
   */
  resetByCode(input: { secret: string; email?: string; password: string }): Promise<Result<null>>
}

const INVALID = domainError('link_invalid')

export function createLinkSignIn(context: AccountContext): LinkSignIn & { stop(): void } {
  const links = createLinkBook(context.deps)
  const post = createLinkPost(context, links)
  return {
    requestLink: (purpose, email) => post.request(purpose, normaliseEmail(email)),
    async signInByLink(secret) {
      const grant = links.take('signIn', secret)
      if (!grant) return err(INVALID)
      const signedIn = await context.sealed.change(undefined, (index) => {
        const user = userOf(index, grant)
        if (!user) return err(INVALID)
        const proved = proveAddress(context, index, user)
        const { set, value } = signInRefreshably(context, index, proved)
        return ok({ set: [...proved.set, ...set], remove: proved.remove, value })
      })
      return signedIn.ok ? ok(signedIn.value.value) : signedIn
    },
    resetByCode: (input) => resetByCode(context, links, input),
    stop: () => post.stop(),
  }
}

async function resetByCode(
  context: AccountContext,
  links: LinkBook,
  { secret, email, password }: { secret: string; email?: string; password: string },
): Promise<Result<null>> {
  const problem = passwordProblem(password)
  if (problem !== undefined) return err(invalidField('password', problem))
  const grant = links.look('reset', secret)
  if (!grant || (email !== undefined && normaliseEmail(email) !== grant.email)) return err(INVALID)
  const hash = await context.hashes.hash(password)
  if (!hash.ok) return hash
  if (!links.take('reset', secret)) return err(INVALID)
  const reset = await context.sealed.change(undefined, (index) => {
    const user = userOf(index, grant)
    if (!user) return err(INVALID)
    const { set, remove } = nextPassword(index, user, hash.value)
    return ok({ set: [...set, userRecord(verified(context, user))], remove, value: null })
  })
  return reset.ok ? ok(null) : reset
}

/** The user a link was for, unless it was overtaken: by another password, another address, or an end. */
function userOf(index: AccountIndex, { userId, email, generation }: LinkGrant): UserEntry | undefined {
  const user = index.users.get(userId)
  const isStill = user?.email === email && index.passwordOf(userId).generation === generation
  return isStill && !index.isDisabled(userId) ? user : undefined
}

type Proved = {
  readonly user: UserEntry
  readonly generation: number
  readonly set: readonly AccountRecord[]
  readonly remove: readonly RecordName[]
}

/**
 * The first proof of an address that somebody wrote into a form and nobody vouched for: from now on the account is its
 * owner's alone. A password and tokens from before may be of somebody who had registered in their name, so they end.
 */
function proveAddress(context: AccountContext, index: AccountIndex, user: UserEntry): Proved {
  const { generation } = index.passwordOf(user.id)
  const proved = verified(context, user)
  if (user.emailVerifiedAtMs !== null) return { user, generation, set: [], remove: [] }
  const isTrusted = generation === 0 || user.role === 'owner' || index.isVouched(user.id)
  if (isTrusted) return { user: proved, generation, set: [userRecord(proved)], remove: [] }
  const ended = nextPassword(index, user, context.nobodysHash)
  return { ...ended, user: proved, set: [...ended.set, userRecord(proved)] }
}

const verified = ({ deps }: AccountContext, user: UserEntry): UserEntry => ({
  ...user,
  emailVerifiedAtMs: user.emailVerifiedAtMs ?? deps.clock.wallMs(),
})
