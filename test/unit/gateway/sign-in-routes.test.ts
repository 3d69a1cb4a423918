import { expect, it } from 'vitest'
import { bindingCookie, bindingIn } from '../../../gateway/dialects/claudenest/binding-cookie.ts'
import { signInRoutes } from '../../../gateway/dialects/claudenest/routes-sign-in.ts'

it('counts every way to sign in against the limit of authentication', () => {
  const declared = signInRoutes.map(({ policy, group }) => ({ policy, group }))
  expect(declared).toEqual(Array.from({ length: 7 }, () => ({ policy: 'public', group: 'authentication' })))
})

it('lets no neighbouring host set the binding where browsers come over TLS', () => {
  const cookie = bindingCookie('google', 'secret', true)
  expect(cookie).toBe('__Host-rookery_sign_in_google=secret; Path=/; HttpOnly; SameSite=Lax; Max-Age=600; Secure')
  const sent = 'theme=dark; rookery_sign_in_google=planted; __Host-rookery_sign_in_google=secret'
  expect(bindingIn(sent, 'google', true)).toBe('secret')
  expect(bindingIn('rookery_sign_in_google=planted', 'google', true)).toBe('')
  expect(bindingIn(sent, 'github', true)).toBe('')
  expect(bindingIn(undefined, 'google', false)).toBe('')
})
