// The output of one command as it comes, and a button that cancels it.

/** What is kept on the page; all of it is at `GET /api/executions/{id}/logs`. */
const SHOWN_CHARS_MAX = 200_000
/** Colours and cursor movements of terminals (ECMA-48), and other control characters. The page shows text. */
// oxlint-disable-next-line no-control-regex
const CONTROL =
  /\u001b(?:\[[0-?]*[ -/]*[@-~]|\][^\u0007\u001b]*(?:\u0007|\u001b\\)?|[ -/]*[0-~])|[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f]/g
const OVER = new Set(['completed', 'failed', 'cancelled', 'timed_out', 'lost'])

export function setUpExecution({ $, call, attempt, sockets }) {
  let followed = null

  const channelOf = ({ id }) => `private-execution.${id}`

  const showState = () => {
    $('execution-state').textContent = stateOf(followed.execution)
    $('cancel-execution').hidden = OVER.has(followed.execution.status)
  }

  const append = (text) => {
    const output = $('execution-output')
    const isAtEnd = output.scrollTop + output.clientHeight >= output.scrollHeight - 4
    followed.text = (followed.text + text).replaceAll(CONTROL, '').replaceAll('\r\n', '\n').slice(-SHOWN_CHARS_MAX)
    output.textContent = followed.text
    if (isAtEnd) output.scrollTop = output.scrollHeight
  }

  const onEvent = ({ event, data }) => {
    if (event === 'command:output') {
      followed.end = data.end
      append(data.data)
    } else if (event === 'command:gap') append(`\n… ${data.to - data.from} bytes are gone …\n`)
    else if (event === 'command:detached')
      append(
        data.reason === 'offline' ? '\n… the machine is out of reach …\n' : '\n… more than this page could take …\n',
      )
    else if (event === 'command:started' || event === 'command:finished') {
      followed.execution = data.execution
      showState()
    } else if (event === 'pusher:subscription_error') append(`${data.message ?? 'The output cannot be followed.'}\n`)
  }

  const close = () => {
    if (followed === null) return
    sockets.leave(channelOf(followed.execution))
    followed = null
    $('execution').hidden = true
  }

  $('cancel-execution').onclick = () => {
    const { execution } = followed
    void attempt(execution.name, async () => {
      followed.execution = await call('POST', `/api/executions/${execution.id}/cancel`)
      showState()
    })
  }
  $('close-execution').onclick = () => {
    const opener = document.getElementById(`output-${followed.execution.id}`)
    close()
    ;(opener ?? $('commands-title')).focus()
  }

  return {
    close,
    follow(execution) {
      close()
      followed = { execution, text: '', end: undefined }
      $('execution-title').textContent = execution.name
      $('execution-output').textContent = ''
      showState()
      $('execution').hidden = false
      const mine = followed
      sockets.join(channelOf(execution), {
        onEvent: (event) => followed === mine && onEvent(event),
        // After a break it goes on where it was.
        more: () => (mine.end === undefined ? {} : { from: mine.end }),
      })
      $('execution-title').focus()
    },
  }
}

/** How it ended, or that it has not. */
export function stateOf({ status, exit_code: code, signal }) {
  if (status === 'failed' && code !== null) return `failed, exit code ${code}`
  if (status === 'failed' && signal !== null) return `failed, ended by ${signal}`
  return status.replace('_', ' ')
}
