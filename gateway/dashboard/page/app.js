// The first page: signs in, and shows the mesh as this node sees it. Everything from the server enters the page as
// text, never as markup. The token stays in this tab.

import { openLive } from './live.js'
import { setUpMachine } from './machine.js'
import { setUpPairing } from './pairing.js'
import { setUpRegister } from './register.js'
import { setUpWaking } from './waking.js'
import { setUpSignIn } from './sign-in.js'

const TOKEN = 'rookery-token'
const TASKS_SHOWN = 50

const $ = (id) => document.getElementById(id)
const appKey = document.querySelector('meta[name="rookery-app-key"]').content
let token = sessionStorage.getItem(TOKEN)
let live = null

class Refused extends Error {
  constructor(status, error) {
    const fields = Object.values(error.errors ?? {}).flat()
    super(fields.length > 0 ? fields.join(' ') : error.message)
    this.status = status
  }
}

/** @returns all of the answer: lists tell in `meta` what else there is */
async function reply(method, path, body, signal) {
  const headers = { accept: 'application/json' }
  if (token !== null) headers.authorization = `Bearer ${token}`
  if (body !== undefined) headers['content-type'] = 'application/json'
  const answer = await fetch(path, {
    method,
    headers,
    signal,
    body: body === undefined ? undefined : JSON.stringify(body),
  })
  const told = await answer.json()
  if (!answer.ok) throw new Refused(answer.status, told.error)
  return told
}

const call = async (method, path, body) => (await reply(method, path, body)).data

function element(name, text, className) {
  const made = document.createElement(name)
  if (text !== undefined) made.textContent = text
  if (className !== undefined) made.className = className
  return made
}

function row(cells) {
  const made = element('tr')
  made.append(...cells.map((cell) => element('td', cell)))
  return made
}

function show(view) {
  $('welcome').hidden = view !== 'welcome'
  $('board').hidden = view !== 'board'
  $('sign-out').hidden = view !== 'board'
  $('live').hidden = view !== 'board'
}

function showProblem(message) {
  $('problem').textContent = message
  $('problem').hidden = message === ''
}

// Signing in and out

function onSubmit(form, send) {
  form.addEventListener('submit', async (event) => {
    event.preventDefault()
    const button = form.querySelector('button')
    button.disabled = true
    showProblem('')
    try {
      const filled = [...new FormData(form)].filter(([, value]) => value !== '')
      const { token: issued } = await send(Object.fromEntries(filled))
      form.reset()
      await enter(issued)
    } catch (error) {
      showProblem(error.message)
    } finally {
      button.disabled = false
    }
  })
}

async function offerWays() {
  try {
    const { registration } = await signInForms.offer()
    registerForm.offer(registration)
  } catch {
    // A password will do, and what the forms say of themselves.
  }
}

async function enter(issued) {
  token = issued
  sessionStorage.setItem(TOKEN, issued)
  signInForms.clear()
  await openBoard()
  $('members-title').focus()
}

function forget(message) {
  token = null
  sessionStorage.removeItem(TOKEN)
  machine.close()
  live?.stop()
  live = null
  waking.shown([])
  pairing.forget()
  show('welcome')
  showProblem(message)
  void offerWays() // there is a user now, if there was none before
}

async function signOut() {
  try {
    await call('POST', '/api/auth/logout')
  } finally {
    forget('')
  }
}

// The board

/** Shown only once it is filled: an empty table would say that the mesh has no members. */
async function openBoard() {
  live = connect()
  await Promise.all([refresh(), pairing.look()])
  if (token !== null) show('board')
}

/** Coalesces bursts of events into one refresh at a time. */
let refreshing = null
let again = false
function refresh() {
  if (refreshing !== null) {
    again = true
    return refreshing
  }
  refreshing = load()
    .catch((error) => {
      if (error.status === 401) forget('Please sign in again.')
      else $('live').textContent = 'This node does not answer.'
    })
    .finally(() => {
      refreshing = null
      if (!again || token === null) return
      again = false
      void refresh()
    })
  return refreshing
}

async function load() {
  const [status, projects] = await Promise.all([call('GET', '/rookery/status'), call('GET', '/rookery/projects')])
  const withWork = await Promise.all(
    projects.map(async (project) => {
      const [tasks, locks, notices] = await Promise.all([
        call('GET', `/api/projects/${project.id}/tasks?per_page=${TASKS_SHOWN}`),
        call('GET', `/api/projects/${project.id}/locks`),
        call('GET', noticesOf(project)),
      ])
      return { project, tasks, locks, notices }
    }),
  )
  $('node').textContent = `${status.name} · mesh ${status.mesh_id.slice(0, 8)}`
  $('version').textContent = `Rookery ${status.version}`
  showMembers(status)
  $('voting').textContent = votingWords(status)
  $('problems').replaceChildren(...status.problems.map((problem) => element('li', problem)))
  $('problems').hidden = status.problems.length === 0
  $('projects').replaceChildren(...withWork.map(projectCard))
  $('no-projects').hidden = withWork.length > 0
  live?.follow(projects.map((project) => `private-project.${project.id}`))
}

/** Rows are made anew; who has a button of one under the finger keeps it, or comes to the heading. */
function showMembers({ members, machine_id: here }) {
  const focused = document.activeElement.closest('#members button')?.id
  $('members').replaceChildren(...members.map((member) => memberRow(member, here)))
  if (focused !== undefined) ($(focused) ?? $('members-title')).focus()
  waking.shown(members)
  machine.shown(members)
}

function memberRow(member, here) {
  const state = member.problem ?? (member.online ? 'online' : 'offline')
  const rtt = member.rtt_ms === null ? '–' : `${Math.round(member.rtt_ms)} ms`
  const made = row([member.name, state, member.reached_by ?? '–', rtt, member.voter ? 'yes' : 'no'])
  if (member.wakeable) made.cells[1].append(' ', waking.buttonFor(member))
  made.cells[1].append(' ', machine.buttonFor(member, member.machine_id === here))
  return made
}

/** What a claim needs. */
function votingWords({ voters, quorum }) {
  if (voters.length === 1) return 'Claims need the one machine that votes. More: `rookery voters`.'
  const spare = voters.length - quorum
  const failing = spare === 0 ? 'all of them' : `${quorum} of ${voters.length}; ${spare} may be down`
  return `Claims need the machines that vote: ${failing}.`
}

const noticesOf = (project) => `/rookery/projects/${project.id}/lock-notices`

function projectCard({ project, tasks, locks, notices }) {
  const card = element('article')
  card.append(element('h3', project.name), element('p', Object.values(project.paths).join(' · '), 'quiet'))
  if (notices.length > 0) card.append(noticeList(project, notices))
  if (tasks.length === 0) card.append(element('p', 'No tasks.', 'quiet'))
  else card.append(taskTable(project, tasks))
  if (locks.length > 0) card.append(lockTable(project, locks))
  return card
}

const taskTable = (project, tasks) =>
  listing(
    `Tasks of ${project.name}`,
    ['Task', 'Priority', 'Status', 'Assigned to'],
    tasks.map((task) => [task.title, task.priority, statusOf(task), assigneeOf(task)]),
  )

const lockTable = (project, locks) =>
  listing(
    `Locks of ${project.name}`,
    ['Locked', 'By', 'Until', 'Guarantee'],
    locks.map((lock) => [lockedOf(lock), lock.locked_by, timeOf(lock.expires_at), guaranteeOf(lock)]),
  )

function listing(label, titles, rows) {
  const table = element('table')
  const head = element('tr')
  head.append(
    ...titles.map((title) => {
      const cell = element('th', title)
      cell.scope = 'col'
      return cell
    }),
  )
  const top = element('thead')
  top.append(head)
  const body = element('tbody')
  body.append(...rows.map(row))
  table.setAttribute('aria-label', label)
  table.append(top, body)
  const scroll = element('div', undefined, 'scroll')
  scroll.append(table)
  return scroll
}

const assigneeOf = (task) =>
  task.guarantee === null ? (task.assigned_to ?? '–') : `${task.assigned_to} (${task.guarantee})`

const lockedOf = (lock) => (lock.pattern === null ? lock.path : `${lock.pattern} (all of ${lock.path})`)

const guaranteeOf = (lock) =>
  lock.guarantee === 'certified'
    ? 'certified'
    : `provisional: no quorum${lock.missing_voters.length > 0 ? ` (${lock.missing_voters.join(', ')} unreachable)` : ''}`

const timeOf = (iso) => new Date(iso).toLocaleTimeString()

function noticeList(project, notices) {
  const list = element('ul', undefined, 'problem')
  list.setAttribute('aria-label', `Lost locks of ${project.name}`)
  list.append(
    ...notices.map((notice) => {
      const { conflict } = notice
      const how =
        conflict === null
          ? 'ended when its node was restarted'
          : `gave way to that of ${conflict.instance_id} on ${conflict.path}, held since ${timeOf(conflict.since)}`
      const item = element(
        'li',
        `${notice.paths.join(', ')}: the lock of ${notice.instance_id} ${how}. ${notice.advice} `,
      )
      const button = element('button', 'Dismiss')
      button.type = 'button'
      button.addEventListener('click', () => void dismiss(project, notice, button))
      item.append(button)
      return item
    }),
  )
  return list
}

async function dismiss(project, notice, button) {
  button.disabled = true
  try {
    await call('DELETE', `${noticesOf(project)}/${notice.id}`)
  } catch (error) {
    if (error.status !== 404) $('live').textContent = error.message
  }
  await refresh()
}

const statusOf = (task) => (task.is_blocked && task.status === 'pending' ? 'blocked' : task.status.replace('_', ' '))

// Live updates

function connect() {
  const opened = openLive({
    appKey,
    token: () => token,
    onState: (words) => ($('live').textContent = words),
    onReconnect: () => {
      void refresh()
      machine.onReconnect()
    },
    onEvent: (frame) => {
      if (frame.event === 'pairing:changed') void pairing.look()
      else if (!machine.onEvent(frame)) void refresh()
    },
  })
  opened.follow(['private-mesh'])
  return opened
}

const waking = setUpWaking({ $, call, element })
const signInForms = setUpSignIn({ $, call, onSubmit, enter, show, showProblem })
const registerForm = setUpRegister({ $ })
const sockets = { join: (...channel) => live?.join(...channel), leave: (channel) => live?.leave(channel) }
const machine = setUpMachine({ $, call, reply, element, sockets })
const pairing = setUpPairing({ $, call, element })
onSubmit($('sign-in'), (fields) => call('POST', '/api/auth/login', fields))
onSubmit($('register'), (fields) => call('POST', '/api/auth/register', fields))
$('sign-out').addEventListener('click', () => void signOut())
void offerWays()
if (!signInForms.takeUp()) {
  if (token === null) {
    show('welcome')
    registerForm.takeCodeFromLink()
  } else void openBoard()
}
