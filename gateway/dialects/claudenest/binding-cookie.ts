import { FLOW_TTL_MS } from '../../../node/services/accounts/provider-sign-in.ts'

/*
 * Ties a sign-in through a provider to the browser that began it. Scripts cannot read it, other sites' pages do not send
 * it along, and over TLS no neighbouring host can set it (`__Host-`). It proves nothing about a person.
 */

const nameOf = (provider: string, isSecure: boolean): string =>
  `${isSecure ? '__Host-' : ''}rookery_sign_in_${provider}`

export function bindingCookie(provider: string, binding: string, isSecure: boolean): string {
  const lifeSeconds = binding === '' ? 0 : FLOW_TTL_MS / 1000
  const attributes = ['Path=/', 'HttpOnly', 'SameSite=Lax', `Max-Age=${lifeSeconds}`, ...(isSecure ? ['Secure'] : [])]
  return [`${nameOf(provider, isSecure)}=${binding}`, ...attributes].join('; ')
}

/** The browser's binding, or an empty text. */
export function bindingIn(cookies: string | undefined, provider: string, isSecure: boolean): string {
  const name = `${nameOf(provider, isSecure)}=`
  const found = (cookies ?? '').split(';').find((pair) => pair.trim().startsWith(name))
  return found?.trim().slice(name.length) ?? ''
}
