// Waking machines that sleep: a button in the row of each, and below the table what came of it.

export function setUpWaking({ $, call, element }) {
  const asking = new Set()
  let answered = null

  const say = (machine, answer, isProblem) => {
    answered = machine
    $('woken').textContent = answer
    $('woken').className = isProblem ? 'problem' : 'quiet'
  }

  const label = (button, { machine_id: id, name }) => {
    button.textContent = asking.has(id) ? 'Waking…' : 'Wake'
    button.setAttribute('aria-label', `${button.textContent} ${name}`)
    // Not `disabled`, which would take the focus from whoever has pressed it by keyboard.
    button.setAttribute('aria-disabled', String(asking.has(id)))
  }

  const buttonOf = ({ machine_id: id }) => $(`wake-${id}`)

  const wake = async (member) => {
    const { machine_id: id, name } = member
    if (asking.has(id)) return
    asking.add(id)
    label(buttonOf(member), member)
    try {
      await call('POST', `/api/machines/${id}/wake`)
      say(id, `The packet that wakes ${name} is sent. It is online in a moment, if it lets itself be woken.`, false)
    } catch (error) {
      say(id, `${name} is not woken. ${error.message}`, true)
    } finally {
      asking.delete(id)
      // The table may have been filled anew meanwhile.
      const button = buttonOf(member)
      if (button !== null) label(button, member)
    }
  }

  return {
    buttonFor(member) {
      const button = element('button')
      button.type = 'button'
      button.id = `wake-${member.machine_id}`
      label(button, member)
      button.addEventListener('click', () => void wake(member))
      return button
    },

    /** An answer has served once its machine is there, or is no member any more. */
    shown(members) {
      if (!members.some((member) => member.machine_id === answered && member.wakeable)) say(null, '', false)
    },
  }
}
