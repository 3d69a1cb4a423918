// Registering: which code it takes, if any, depends on the mesh, and on the link that somebody came by.

const OFFERS = {
  first_user: {
    title: 'Make the first user of this mesh',
    hint: 'It needs the setup code that “rookery up” printed on this machine.',
    code: 'setup_code',
  },
  invited: {
    title: 'New here?',
    hint: 'You need an invitation from the owner of this mesh, who makes it with “rookery user invite”.',
    code: 'invite_code',
  },
  open: { title: 'New here?', hint: 'Everybody who can reach this page may register.', code: null },
}

export function setUpRegister({ $ }) {
  const form = $('register')
  let isByLink = false

  /** Shows the one field for a code that is of use; without one, none. */
  const takeOnly = (name) => {
    for (const label of form.querySelectorAll('.code')) {
      const field = label.querySelector('input')
      label.hidden = field.name !== name
      field.required = field.name === name
    }
  }

  return {
    /** Says who may register here, as `GET /rookery/sign-in` tells. A link that somebody came by says more. */
    offer(registration) {
      if (isByLink) return
      const { title, hint, code } = OFFERS[registration]
      $('register-title').textContent = title
      $('register-hint').textContent = hint
      takeOnly(code)
    },

    /** Takes the code from a link of `rookery up` or an invitation. It works once; it must not stay in the history. */
    takeCodeFromLink() {
      const link = new URLSearchParams(location.hash.slice(1))
      const name = ['setup', 'invite'].find((one) => link.has(one))
      if (name === undefined) return
      history.replaceState(null, '', location.pathname)
      isByLink = true
      const field = form.elements.namedItem(`${name}_code`)
      field.value = link.get(name)
      field.readOnly = true
      takeOnly(field.name)
      $('register-title').textContent = name === 'invite' ? 'You are invited' : OFFERS.first_user.title
      $('register-hint').hidden = true
      $('sign-in-section').hidden = name === 'setup'
      form.elements.namedItem('name').focus()
    },
  }
}
