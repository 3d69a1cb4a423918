import type { Mail } from '../../node/ports/mailer.ts'
import type { SignInMeans } from '../../node/services/accounts/account-context.ts'

export type RecordedSignIn = SignInMeans & { readonly mails: Mail[] }

/** Keeps every mail; providers as the test pleases. */
export function createRecordedSignIn(providers: SignInMeans['providers'] = []): RecordedSignIn {
  const mails: Mail[] = []
  return {
    mails,
    mailer: { isSending: true, send: async (mail) => void mails.push(mail) },
    providers,
    publicUrl: () => 'http://127.0.0.1:8000',
    linkTemplates: {},
  }
}
