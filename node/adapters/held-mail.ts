import type { Clock } from '../ports/clock.ts'
import type { Mail, Mailer } from '../ports/mailer.ts'

/** As long as the link in it can be good. */
const HELD_MS = 3_600_000
/** The oldest goes first. */
const MAILS_MAX = 50

export type HeldMail = Mail & { readonly atMs: number }

/** Mails on a node that cannot send any. They are in memory only, for whoever may open the node's control socket. */
export type HeldMails = Mailer & { held(): readonly HeldMail[] }

/** `show` puts a mail before the person at the node's terminal, if one sits there. */
export function createHeldMails(clock: Clock, show: (mail: Mail) => void): HeldMails {
  let mails: { readonly mail: HeldMail; readonly untilMs: number }[] = []
  const forgetOld = (): void => {
    mails = mails.filter(({ untilMs }) => untilMs > clock.bootMs())
  }
  return {
    isSending: false,
    async send(sent) {
      forgetOld()
      const mail = { ...sent, atMs: clock.wallMs() }
      mails = [...mails, { mail, untilMs: clock.bootMs() + HELD_MS }].slice(-MAILS_MAX)
      show(sent)
    },
    held() {
      forgetOld()
      return mails.map(({ mail }) => mail)
    },
  }
}
