import type { UserEntry } from '../../../crdt/account-index.ts'
import { domainError } from '../../../crdt/errors.ts'
import { err, ok, type Result } from '../../../crdt/result.ts'
import type { Cancel } from '../../ports/clock.ts'
import type { Mail } from '../../ports/mailer.ts'
import { randomFraction } from '../../ports/random.ts'
import { createRateLimiter } from '../rate-limit.ts'
import type { AccountContext, LinkPurpose } from './account-context.ts'
import { LINK_TTL_MS, type LinkBook } from './link-book.ts'

/** Requests that nobody has looked at yet; a request waits for a second at most. */
const REQUESTS_WAITING_MAX = 256
/** Looked at some time within this after it was answered, so that what it costs cannot be felt in the next answers. */
const LOOK_WITHIN_MS = 1000
/** Mails the server has not taken yet. */
const MAILS_UNDER_WAY_MAX = 16
/** Nobody's mailbox is to be filled by somebody who knows the address. */
const MAILS_PER_USER = { count: 5, perMs: 3_600_000, keysMax: 10_000 }

export type LinkPost = {
  /** @errors link_unavailable */
  request(purpose: LinkPurpose, email: string): Result<null>
  stop(): void
}

/** Mails links to users who want one. Everything that depends on whether there is such a user happens after the answer. */
export function createLinkPost(context: AccountContext, links: LinkBook): LinkPost {
  const { deps, sealed } = context
  const limiter = createRateLimiter(deps.clock, MAILS_PER_USER)
  const waiting = new Set<Cancel>()
  let underWay = 0

  const mailTo = async (purpose: LinkPurpose, user: UserEntry, base: string): Promise<void> => {
    if (underWay >= MAILS_UNDER_WAY_MAX) return deps.log.warn({}, 'the mail server is too slow: a link was not sent')
    const grant = { userId: user.id, email: user.email, generation: sealed.index.passwordOf(user.id).generation }
    const link = linkOf(deps.signIn.linkTemplates[purpose] ?? PAGES[purpose](base), {
      token: links.issue(purpose, grant),
      email: user.email,
    })
    underWay++
    try {
      await deps.signIn.mailer.send(mailOf(purpose, { to: user.email, link, base }))
    } catch (error) {
      deps.log.warn({ err: error }, 'a link could not be mailed')
    } finally {
      underWay--
    }
  }
  const look = (purpose: LinkPurpose, email: string): void => {
    const user = sealed.index.userByEmail(email)
    const base = deps.signIn.publicUrl()
    if (!user || base === null || sealed.index.isDisabled(user.id)) return
    if (limiter.take(user.id) === undefined) void mailTo(purpose, user, base)
  }
  return {
    request(purpose, email) {
      const isReady = sealed.isOpen() && deps.signIn.publicUrl() !== null
      if (!isReady || waiting.size >= REQUESTS_WAITING_MAX) return err(domainError('link_unavailable'))
      const cancel = deps.clock.after(Math.floor(randomFraction(deps.random) * LOOK_WITHIN_MS), () => {
        waiting.delete(cancel)
        look(purpose, email)
      })
      waiting.add(cancel)
      return ok(null)
    },
    stop() {
      for (const cancel of waiting) cancel()
    },
  }
}

/** In the fragment: it is sent to no server and stands in no log. */
const PAGES: Readonly<Record<LinkPurpose, (base: string) => string>> = {
  signIn: (base) => `${base}/#sign-in={token}`,
  reset: (base) => `${base}/#reset={token}`,
}

const linkOf = (template: string, { token, email }: { token: string; email: string }): string =>
  template.replaceAll('{token}', encodeURIComponent(token)).replaceAll('{email}', encodeURIComponent(email))

/** Nothing in it was written by whoever asked for it. */
function mailOf(purpose: LinkPurpose, { to, link, base }: { to: string; link: string; base: string }): Mail {
  const minutes = LINK_TTL_MS[purpose] / 60_000
  const wants = purpose === 'signIn' ? 'sign in to' : 'choose a new password for'
  const lines = [
    `Open this link to ${wants} Rookery at ${base}:`,
    '',
    link,
    '',
    `It works once, within ${minutes} minutes.`,
    'If you did not ask for it, somebody else did: ignore it, and nothing happens.',
  ]
  const subject = purpose === 'signIn' ? 'Sign in to Rookery' : 'Your new password for Rookery'
  return { to, subject, text: `${lines.join('\n')}\n` }
}
