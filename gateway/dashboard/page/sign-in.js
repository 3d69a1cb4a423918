// Ways to sign in beside a password: providers, and links in mails. What a link carries works once; it must not stay in
// the history.

const PROVIDERS = { google: 'Google', github: 'GitHub' }
const IF_KNOWN = 'If that address has an account here, '
const SENT = `${IF_KNOWN}a mail is on its way to it.`
const HELD = `${IF_KNOWN}whoever runs this gateway now has a link for you.`

/** Sets up the forms. `enter` is called with the token of who has signed in. */
export function setUpSignIn({ $, call, onSubmit, enter, show, showProblem }) {
  const email = $('sign-in').elements.namedItem('email')
  let linkToken = ''
  let sendsMail = true

  const showNotice = (message) => {
    $('notice').textContent = message
    $('notice').hidden = message === ''
  }

  /** Runs what a button asks for, once at a time, and says what went wrong. */
  const attempt = async (button, work) => {
    button.disabled = true
    showProblem('')
    showNotice('')
    try {
      await work()
    } catch (error) {
      showProblem(error.message)
    } finally {
      button.disabled = false
    }
  }

  const onAsk = (button, path) =>
    button.addEventListener('click', () => {
      if (!email.reportValidity()) return
      void attempt(button, async () => {
        await call('POST', path, { email: email.value })
        showNotice(sendsMail ? SENT : HELD)
      })
    })

  const showOnly = (section) => {
    for (const each of $('welcome').querySelectorAll('section')) each.hidden = each !== section && section !== null
    if (section === null) for (const each of [$('confirm-section'), $('reset-section')]) each.hidden = true
  }

  const offerProvider = (provider, publicUrl) => {
    const button = document.createElement('button')
    button.type = 'button'
    button.textContent = `Sign in with ${PROVIDERS[provider]}`
    button.addEventListener('click', () => {
      // The provider sends the browser back there, and only a sign-in that began there can be finished there.
      if (location.origin !== publicUrl) return location.assign(publicUrl)
      void attempt(button, async () => {
        const { redirect_url } = await call('GET', `/api/auth/${provider}/redirect`)
        location.assign(redirect_url)
      })
    })
    return button
  }

  onAsk($('send-link'), '/api/auth/magic-link')
  onAsk($('forgot'), '/api/auth/forgot-password')
  onSubmit($('confirm'), () => call('POST', '/api/auth/magic-link/verify', { token: linkToken }))
  $('reset').addEventListener('submit', (event) => {
    event.preventDefault()
    const form = $('reset')
    void attempt(form.querySelector('button'), async () => {
      await call('POST', '/api/auth/reset-password', { ...Object.fromEntries(new FormData(form)), token: linkToken })
      form.reset()
      showOnly(null)
      showNotice('Your password is changed, and you are signed out everywhere. Sign in with the new one.')
      email.focus()
    })
  })

  return {
    /** Asks what this gateway offers, shows the ways to sign in, and answers all of it. */
    async offer() {
      const ways = await call('GET', '/rookery/sign-in')
      $('providers').replaceChildren(...ways.providers.map((provider) => offerProvider(provider, ways.public_url)))
      $('providers').hidden = ways.providers.length === 0
      sendsMail = ways.sends_mail
      $('no-mail').hidden = sendsMail
      return ways
    },

    /** Takes up what the address has: a link of a mail, or a provider's answer. True when there was something. */
    takeUp() {
      const link = new URLSearchParams(location.hash.slice(1))
      const purpose = ['sign-in', 'reset'].find((name) => link.has(name))
      const provider = Object.keys(PROVIDERS).find((name) => location.pathname === `/sign-in/${name}`)
      if (purpose === undefined && provider === undefined) return false
      const { search } = location
      history.replaceState(null, '', '/')
      show('welcome')
      if (provider !== undefined) {
        showNotice(`Signing in with ${PROVIDERS[provider]}…`)
        call('GET', `/api/auth/${provider}/callback${search}`)
          .then(({ token }) => enter(token))
          .catch((error) => showProblem(error.message))
          .finally(() => showNotice(''))
        return true
      }
      linkToken = link.get(purpose)
      const section = purpose === 'reset' ? $('reset-section') : $('confirm-section')
      showOnly(section)
      section.querySelector('input, button').focus()
      return true
    },

    /** Back to the forms that everybody sees. */
    clear() {
      showOnly(null)
      showNotice('')
    },
  }
}
