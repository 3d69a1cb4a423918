// The MCP servers of a machine: their state, and starting, stopping and approving them.

import { createPagedList, focusAgain, namedCell, rowButton } from './paged-list.js'

export function setUpServers({ $, call, reply, element, attempt, machine }) {
  const base = `/api/machines/${machine.machine_id}/mcp`

  const post = (server, what, body) => call('POST', `${base}/${encodeURIComponent(server.name)}/${what}`, body)

  const start = (server) =>
    attempt(server.name, async () => {
      const { status } = await post(server, 'start')
      await list.load()
      return status === 'running' ? `${server.name} runs.` : `${server.name} is ${status}.`
    })

  const stop = (server) =>
    attempt(server.name, async () => {
      await post(server, 'stop')
      await list.load()
      return `${server.name} is stopped.`
    })

  /** Shows all that an approval is for; what changes meanwhile has another fingerprint, and is refused. */
  const approve = (server, opener) => {
    const facts = [
      ['Runs', runsOf(server)],
      ['In', server.cwd],
      ['Environment', Object.keys(server.env).join(', ')],
      ['Headers', Object.keys(server.headers).join(', ')],
      ['Defined in', server.source ?? 'Rookery'],
      ['Fingerprint', server.fingerprint],
    ]
    $('approve-facts').replaceChildren(
      ...facts
        .filter(([, said]) => said)
        .flatMap(([name, said]) => {
          const value = element('dd')
          value.append(element('code', said))
          return [element('dt', name), value]
        }),
    )
    $('approve-title').textContent = `Let ${server.name} run on ${machine.name}?`
    $('approve').showModal()
    $('approve').onclose = () => {
      if ($('approve').returnValue === 'yes')
        void attempt(server.name, async () => {
          await post(server, 'approve', { fingerprint: server.fingerprint })
          await list.load()
          return `${server.name} is approved, as long as it stays what it is.`
        })
      focusAgain(opener)
    }
  }

  const buttonsOf = (server) => {
    const button = (label, act) =>
      rowButton(element, { id: `${label.toLowerCase()}-${server.id}`, label, name: server.name, act })
    const isUnderWay = server.status === 'starting' || server.status === 'running' || server.next_try_at !== null
    if (isUnderWay) return [button('Stop', () => stop(server))]
    if (server.is_approved) return [button('Start', () => start(server))]
    if (machine.isHere) return [button('Approve', (opener) => approve(server, opener))]
    return [element('span', `Approve it on ${machine.name}: “rookery mcp approve ${server.name}”`, 'note quiet')]
  }

  const rowOf = (server) => {
    const row = element('tr')
    const name = namedCell(element, server.display_name, server.source === null ? '' : `from ${server.source}`)
    const runs = element('td')
    runs.append(element('code', runsOf(server)))
    const state = namedCell(element, server.status)
    if (server.problem !== null) state.append(element('span', server.problem, 'note problem'))
    const tools = element('td', server.status === 'running' ? String(server.tools_count) : '–')
    const actions = element('td')
    actions.append(...buttonsOf(server))
    row.append(name, runs, state, tools, actions)
    return row
  }

  const list = createPagedList({
    call: reply,
    element,
    label: 'MCP servers',
    columns: ['Server', 'Runs', 'State', 'Tools', 'Action'],
    rowOf,
    path: () => base,
    none: 'No MCP servers. Add one with “rookery mcp add”, or where an agent keeps its own.',
    onTotal: (total) => ($('servers-title').textContent = total === null ? 'MCP servers' : `MCP servers (${total})`),
  })
  return list
}

/** Words are told apart: what is approved must not read like something else. */
const runsOf = ({ command, args, url }) => url ?? [command, ...args].map(quoted).join(' ')
const quoted = (word) => (/^[\w@%+=:,./-]+$/.test(word) ? word : JSON.stringify(word))
