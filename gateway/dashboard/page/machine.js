// What one machine has: its skills, its MCP servers, its commands and what was run. Each is asked of the machine itself.

import { setUpCommands } from './machine-commands.js'
import { setUpServers } from './machine-servers.js'
import { setUpSkills } from './machine-skills.js'

const EVENTS = {
  'skills:changed': ['skills'],
  'mcp:status': ['servers'],
  'command:queued': ['executions'],
  'command:started': ['executions'],
  'command:finished': ['executions'],
}

export function setUpMachine({ $, call, reply, element, sockets }) {
  let shown = null
  let lists = {}

  const say = (answer, isProblem = false) => {
    $('machine-said').textContent = answer
    $('machine-said').className = isProblem ? 'problem' : 'quiet'
  }

  /** Runs what a button asks for, and says what came of it. */
  const attempt = async (name, work) => {
    try {
      say((await work()) ?? '')
    } catch (error) {
      say(error.message.includes(name) ? error.message : `${name}: ${error.message}`, true)
    }
  }

  const refresh = (names = Object.keys(lists)) => {
    for (const name of names) void lists[name].refresh()
  }
  const channelOf = (machine) => `private-machine.${machine.machine_id}`

  const close = () => {
    if (shown === null) return
    for (const list of Object.values(lists)) list.stop()
    sockets.leave(channelOf(shown))
    const opener = $(`tools-${shown.machine_id}`)
    shown = null
    lists = {}
    $('machine').hidden = true
    opener?.setAttribute('aria-expanded', 'false')
    return opener
  }

  const open = (member, isHere) => {
    close()
    shown = { ...member, isHere }
    const deps = { $, call, reply, element, sockets, attempt, say, machine: shown }
    $('machine-title').textContent = `On ${member.name}`
    say('')
    lists = { skills: setUpSkills(deps), servers: setUpServers(deps), ...setUpCommands(deps) }
    for (const [name, { root }] of Object.entries(lists)) $(`${name}-list`).replaceChildren(root)
    $('machine').hidden = false
    $(`tools-${member.machine_id}`)?.setAttribute('aria-expanded', 'true')
    sockets.join(channelOf(shown))
    refresh()
    $('machine-title').focus()
  }

  $('close-machine').addEventListener('click', () => (close() ?? $('members-title')).focus())

  return {
    close,

    buttonFor(member, isHere) {
      const isShown = shown?.machine_id === member.machine_id
      const button = element('button', 'Tools')
      button.type = 'button'
      button.id = `tools-${member.machine_id}`
      button.setAttribute('aria-label', `Tools of ${member.name}`)
      button.setAttribute('aria-controls', 'machine')
      button.setAttribute('aria-expanded', String(isShown))
      button.addEventListener('click', () => {
        if (shown?.machine_id === member.machine_id) close()?.focus()
        else open(member, isHere)
      })
      return button
    },

    /** The machine may have gone or come back, or be no member any more. */
    shown(members) {
      if (shown === null) return
      const member = members.find(({ machine_id: id }) => id === shown.machine_id)
      if (member === undefined) return void close()
      const wasOnline = shown.online
      shown.online = member.online
      if (wasOnline !== member.online) refresh()
    },

    /** True when the event was of the machine that is shown, and of nothing else that the page has. */
    onEvent({ event, channel }) {
      if (shown === null || channel !== channelOf(shown)) return false
      if (EVENTS[event]) refresh(EVENTS[event])
      return event !== 'machine:changed'
    },

    /** Nobody knows what happened while there was no connection. */
    onReconnect: () => refresh(),
  }
}
