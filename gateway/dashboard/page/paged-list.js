// A table that shows one page of a list that may be long, with a search where the list has one. The server searches and
// cuts; the page never holds more than it shows.

const PER_PAGE = 20
const TYPING_MS = 200

/**
 * `path` answers the address of the list for what is searched; `rowOf` makes a row. `load` gets the page anew
 * for who has changed something, `refresh` for what was told; an answer that was overtaken is never shown.
 */
export function createPagedList({ call, element, label, columns, rowOf, path, searchable, none, onTotal }) {
  const root = element('div')
  const state = element('p', 'Loading…', 'quiet')
  state.setAttribute('role', 'status')
  const body = element('tbody')
  const scroll = element('div', undefined, 'scroll')
  const previous = pagerButton(element, 'Previous')
  const next = pagerButton(element, 'Next')
  const pager = element('p', undefined, 'choices')
  pager.append(previous, next)
  const search = element('input')
  let page = 1
  let asked = null
  let latest = Promise.resolve()
  let isAsking = false
  let isStale = false
  let typing

  scroll.append(tableOf(element, label, columns, body))
  scroll.hidden = true
  pager.hidden = true
  if (searchable) {
    const field = element('label', `Search ${label.toLowerCase()} `)
    search.type = 'search'
    search.addEventListener('input', () => {
      clearTimeout(typing)
      typing = setTimeout(() => turnTo(1), TYPING_MS)
    })
    field.append(search)
    root.append(field)
  }
  root.append(state, scroll, pager)

  const turnTo = (wanted) => {
    page = wanted
    return load()
  }
  previous.addEventListener('click', () => {
    if (previous.getAttribute('aria-disabled') !== 'true') void turnTo(page - 1)
  })
  next.addEventListener('click', () => {
    if (next.getAttribute('aria-disabled') !== 'true') void turnTo(page + 1)
  })

  /** Overtakes what is under way; who waits for that waits for this. */
  function load() {
    asked?.abort()
    asked = new AbortController()
    latest = ask(asked)
    return latest
  }

  /** After an event: a flood of them costs one answer after the other, and never keeps one from being shown. */
  function refresh() {
    if (!isAsking) return load()
    isStale = true
    return latest
  }

  async function ask(mine) {
    isAsking = true
    isStale = false
    try {
      const address = new URL(path(search.value.trim()), location.origin)
      address.searchParams.set('page', page)
      address.searchParams.set('per_page', PER_PAGE)
      const { data, meta } = await call('GET', `${address.pathname}${address.search}`, undefined, mine.signal)
      if (asked !== mine) return await latest
      const { total, last_page: last } = meta.pagination
      if (page > last) return await turnTo(last) // it became shorter
      show(data, total, last)
    } catch (error) {
      if (asked !== mine) return await latest
      fail(error)
    }
    isAsking = false
    if (isStale) await load()
  }

  function show(items, total, last) {
    replaceKeepingFocus(
      body,
      items.map((item) => labelled(rowOf(item), item.id, columns)),
    )
    const from = (page - 1) * PER_PAGE + 1
    const found = search.value.trim() === '' ? none : `Nothing is found for “${search.value.trim()}”.`
    state.textContent = total === 0 ? found : last === 1 ? '' : `${from}–${from + items.length - 1} of ${total}`
    state.className = 'quiet'
    scroll.hidden = total === 0
    pager.hidden = last === 1
    previous.setAttribute('aria-disabled', String(page === 1))
    next.setAttribute('aria-disabled', String(page === last))
    if (search.value.trim() === '') onTotal?.(total)
  }

  /** What was shown before is of no use: nobody knows whether it is so still. */
  function fail(error) {
    body.replaceChildren()
    scroll.hidden = true
    pager.hidden = true
    state.textContent = error.message
    state.className = 'problem'
    onTotal?.(null)
  }

  return {
    root,
    load,
    refresh,
    /** Ends what is under way; nothing is shown any more. */
    stop() {
      clearTimeout(typing)
      asked?.abort()
      asked = null
      latest = Promise.resolve()
    },
  }
}

function pagerButton(element, label) {
  const button = element('button', label)
  button.type = 'button'
  return button
}

function tableOf(element, label, columns, body) {
  const table = element('table')
  const head = element('tr')
  head.append(
    ...columns.map((title) => {
      const cell = element('th', title)
      cell.scope = 'col'
      return cell
    }),
  )
  const top = element('thead')
  top.append(head)
  table.setAttribute('aria-label', label)
  table.append(top, body)
  return table
}

/** On a narrow window a row is a card, and each cell says which column it is of. */
function labelled(row, key, columns) {
  row.dataset.key = key
  for (const [n, cell] of [...row.cells].entries()) cell.dataset.label = columns[n]
  return row
}

/**
 * Rows are made anew; who has a button of one under the finger keeps it, or comes to another of that row: what was a
 * button to start is one to stop now.
 */
function replaceKeepingFocus(body, rows) {
  const focused = body.contains(document.activeElement) ? document.activeElement : null
  const key = focused?.closest('tr').dataset.key
  body.replaceChildren(...rows)
  if (focused === null) return
  const row = rows.find((one) => one.dataset.key === key)
  const again =
    document.getElementById(focused.id) ??
    row?.querySelector('button') ??
    body.closest('details').querySelector('summary')
  again.focus()
}

/** A button of a row, which is not made `disabled` while it works: that would take the focus from who has pressed it. */
export function rowButton(element, { id, label, name, act }) {
  const button = element('button', label)
  button.type = 'button'
  button.id = id
  button.setAttribute('aria-label', `${label} ${name}`)
  button.addEventListener('click', async () => {
    if (button.getAttribute('aria-disabled') === 'true') return
    button.setAttribute('aria-disabled', 'true')
    try {
      await act(button)
    } finally {
      button.setAttribute('aria-disabled', 'false')
    }
  })
  return button
}

/** Back to a button of a list, which may have been made anew meanwhile. */
export const focusAgain = (button) => document.getElementById(button.id)?.focus()

/** A cell with a name and, below it, what there is to say of it. */
export function namedCell(element, name, ...notes) {
  const cell = element('td')
  cell.append(
    element('strong', name),
    ...notes.filter((note) => note).map((note) => element('span', note, 'note quiet')),
  )
  return cell
}
