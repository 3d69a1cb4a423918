import type { UserId } from '../../../crdt/ids.ts'
import { hexKey } from '../../../crdt/keyed-sets.ts'
import type { Crypto } from '../../../protocols/crypto.ts'
import type { Clock } from '../../ports/clock.ts'
import type { Random } from '../../ports/random.ts'
import type { LinkPurpose } from './account-context.ts'
import { newSecret } from './account-secrets.ts'

/** Long enough to find the mail, too short to be worth looking for. */
export const LINK_TTL_MS: Readonly<Record<LinkPurpose, number>> = { signIn: 15 * 60_000, reset: 60 * 60_000 }

/** Links waiting to be used; the oldest is forgotten first. One costs some 300 bytes. */
const LINKS_MAX = 10_000

/** Whom a link is for, while the password they had then is still in force. */
export type LinkGrant = { readonly userId: UserId; readonly email: string; readonly generation: number }

export type LinkBook = {
  issue(purpose: LinkPurpose, grant: LinkGrant): string
  /** What `take` would answer now. */
  look(purpose: LinkPurpose, secret: string): LinkGrant | undefined
  /** Uses the link up: of any number of callers one gets the grant. */
  take(purpose: LinkPurpose, secret: string): LinkGrant | undefined
}

/** Secrets in mails, kept as digests in the memory of the gateway that sent them: they die with it. */
export function createLinkBook({ clock, crypto, random }: { clock: Clock; crypto: Crypto; random: Random }): LinkBook {
  const links = new Map<string, { readonly grant: LinkGrant; readonly endsAtMs: number }>()
  const keyOf = (purpose: LinkPurpose, secret: string): string =>
    `${purpose} ${hexKey(crypto.sha256(new TextEncoder().encode(secret)))}`
  const look = (purpose: LinkPurpose, secret: string): LinkGrant | undefined => {
    const link = links.get(keyOf(purpose, secret))
    // Suspension counts: a link must not be good for days because its gateway slept.
    return link !== undefined && link.endsAtMs > clock.bootMs() ? link.grant : undefined
  }
  return {
    issue(purpose, grant) {
      for (const [key, { endsAtMs }] of links)
        if (endsAtMs <= clock.bootMs() || links.size >= LINKS_MAX) links.delete(key)
      const secret = newSecret(random)
      links.set(keyOf(purpose, secret), { grant, endsAtMs: clock.bootMs() + LINK_TTL_MS[purpose] })
      return secret
    },
    look,
    take(purpose, secret) {
      const grant = look(purpose, secret)
      links.delete(keyOf(purpose, secret))
      return grant
    },
  }
}
