// The commands of a machine: finding one, running it with what it takes, and following what was run.

import { setUpExecution, stateOf } from './execution.js'
import { createPagedList, focusAgain, namedCell, rowButton } from './paged-list.js'

export function setUpCommands(deps) {
  const { $, call, reply, element, attempt, machine } = deps
  const base = `/api/machines/${machine.machine_id}`
  const execution = setUpExecution(deps)

  const ask = (command, opener) =>
    attempt(command.name, async () => {
      const whole = await call('GET', `${base}/commands/${command.id}`)
      $('run-title').textContent = `Run ${whole.name} on ${machine.name}`
      $('run-line').textContent = whole.command
      $('run-where').textContent =
        `In ${whole.cwd ?? 'the home folder'}, ${whole.source === null ? 'registered by hand' : `from ${whole.source}`}.`
      $('run-danger').hidden = !whole.is_dangerous
      const [options, words] = [whole.options.map(optionField), whole.arguments.map(argumentField)]
      $('run-fields').replaceChildren(...[...options, ...words].map(({ field }) => field))
      $('run').showModal()
      $('run').onclose = () => {
        focusAgain(opener)
        if ($('run').returnValue !== 'yes') return
        const said = (fields) => fields.flatMap(({ words: wordsOf }) => wordsOf())
        void start(whole, { options: said(options), arguments: said(words) })
      }
    })

  const start = (command, body) =>
    attempt(command.name, async () => {
      const started = await call('POST', `${base}/commands/${command.id}/execute`, body)
      execution.follow(started)
      await executions.load()
    })

  /** `--force` is a box to tick, `--step=` a field for its value. */
  const optionField = (option) => {
    const input = element('input')
    if (option.endsWith('='))
      return fieldOf(option.slice(0, -1), input, () => (input.value === '' ? [] : [`${option}${input.value}`]))
    input.type = 'checkbox'
    return fieldOf(option, input, () => (input.checked ? [option] : []))
  }

  const argumentField = ({ name, description, required, variadic }) => {
    const input = element(variadic ? 'textarea' : 'input')
    input.required = required
    const hint = [description, variadic ? 'One word per line.' : ''].filter((part) => part !== '').join(' ')
    return fieldOf(name, input, () => input.value.split('\n').filter((word) => word !== ''), hint)
  }

  const fieldOf = (name, input, words, hint = '') => {
    const field = element('label', name)
    field.className = input.type === 'checkbox' ? 'tick' : ''
    input.autocomplete = 'off'
    field.append(input)
    if (hint !== '') field.append(element('span', hint, 'note quiet'))
    return { field, words }
  }

  const commandRow = (command) => {
    const row = element('tr')
    const name = namedCell(element, command.name, command.description)
    if (command.is_dangerous) name.append(element('span', 'may delete, overwrite or publish something', 'note problem'))
    const line = element('td')
    line.append(element('code', command.command))
    const actions = element('td')
    actions.append(
      rowButton(element, {
        id: `run-${command.id}`,
        label: 'Run',
        name: command.name,
        act: (button) => ask(command, button),
      }),
    )
    row.append(name, line, element('td', command.source ?? 'registered'), actions)
    return row
  }

  const executionRow = (one) => {
    const row = element('tr')
    const actions = element('td')
    actions.append(
      rowButton(element, { id: `output-${one.id}`, label: 'Output', name: one.name, act: () => execution.follow(one) }),
    )
    const state = namedCell(element, stateOf(one))
    if (one.problem !== null) state.append(element('span', one.problem, 'note problem'))
    row.append(
      namedCell(element, one.name, one.command),
      state,
      element('td', new Date(one.queued_at).toLocaleString()),
      actions,
    )
    return row
  }

  const commands = createPagedList({
    call: reply,
    element,
    label: 'Commands',
    columns: ['Command', 'Line', 'Found in', 'Action'],
    rowOf: commandRow,
    path: (search) => (search === '' ? `${base}/commands` : `${base}/commands/search?q=${encodeURIComponent(search)}`),
    searchable: true,
    none: 'No commands. They are found in the projects of the machine (package.json, Makefile, …), or registered with “rookery commands add”.',
    onTotal: (total) => ($('commands-title').textContent = total === null ? 'Commands' : `Commands (${total})`),
  })
  const executions = createPagedList({
    call: reply,
    element,
    label: 'What was run',
    columns: ['Command', 'State', 'Asked for', 'Action'],
    rowOf: executionRow,
    path: () => `${base}/executions`,
    none: 'Nothing was run yet.',
  })
  const stopList = executions.stop
  return {
    commands,
    executions: {
      ...executions,
      stop() {
        stopList()
        execution.close()
      },
    },
  }
}
