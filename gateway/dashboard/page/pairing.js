// Machines that want to be paired: a row for each, with what to compare, and buttons to let it in or turn it away.

export function setUpPairing({ $, call, element }) {
  let looking = null
  let again = false

  const say = (answer, isProblem) => {
    $('paired').textContent = answer
    $('paired').className = isProblem ? 'problem' : 'quiet'
  }

  const buttonFor = (pending, label, act) => {
    const button = element('button', label)
    button.type = 'button'
    button.id = `${label.toLowerCase()}-${pending.code}`
    button.setAttribute('aria-label', `${label} ${nameOf(pending)} (${pending.code})`)
    button.addEventListener('click', async () => {
      for (const other of button.closest('td').querySelectorAll('button')) other.disabled = true
      try {
        say(await act(pending), false)
      } catch (error) {
        say(`${nameOf(pending)}: ${error.message}`, true)
      }
      await look()
    })
    return button
  }

  const complete = async (pending) => {
    const isNode = pending.kind === 'node'
    const body = isNode ? { words: pending.words } : {}
    const { machine } = await call('POST', `/api/pairing/${pending.code}/complete`, body)
    return isNode
      ? `${machine.name} may join. It is a member as soon as somebody there says that the words are the same.`
      : `${machine.name} is a machine of this mesh. It fetches its token in a moment.`
  }

  const refuse = async (pending) => {
    await call('POST', `/api/pairing/${pending.code}/refuse`)
    return `${nameOf(pending)} is turned away.`
  }

  const rowOf = (pending) => {
    const row = element('tr')
    const toCompare = pending.kind === 'node' ? (pending.words ?? 'not shown yet') : `code ${pending.code}`
    const cells = [
      nameOf(pending),
      pending.kind === 'node' ? 'be a member' : 'a token',
      [pending.platform, pending.address, `at ${pending.gateway}`].filter((part) => part !== '').join(' · '),
      toCompare,
    ]
    const actions = element('td')
    const isReady = pending.kind === 'agent' || pending.words !== null
    if (isReady) actions.append(buttonFor(pending, 'Complete', complete), ' ')
    actions.append(buttonFor(pending, 'Refuse', refuse))
    row.append(...cells.map((cell) => element('td', cell)), actions)
    return row
  }

  const load = async () => {
    const { pairings, unreachable } = await call('GET', '/api/pairing')
    const focused = document.activeElement.closest('#pairings button')?.id
    $('pairings').replaceChildren(...pairings.map(rowOf))
    $('pairing-table').hidden = pairings.length === 0
    $('no-pairings').hidden = pairings.length > 0
    $('pairing-unreachable').textContent =
      unreachable.length === 0 ? '' : `No answer from the gateway of ${unreachable.join(', ')}.`
    $('pairing').hidden = false
    if (focused !== undefined) ($(focused) ?? $('look-for-pairings')).focus()
  }

  /** One at a time: every look asks every gateway. */
  const look = () => {
    if (looking !== null) {
      again = true
      return looking
    }
    looking = load()
      .catch((error) => {
        // Whoever may not let machines in has nothing to see here.
        if (error.status === 403 || error.status === 401) $('pairing').hidden = true
        else say(error.message, true)
      })
      .finally(() => {
        looking = null
        if (again) {
          again = false
          void look()
        }
      })
    return looking
  }

  $('look-for-pairings').addEventListener('click', () => void look())

  return {
    look,
    forget() {
      $('pairing').hidden = true
      $('pairings').replaceChildren()
      say('', false)
    },
  }
}

const nameOf = (pending) => pending.name || 'A machine without a name'
