/** One thing that was looked at. `remedy` says what to do unless all is well. */
export type Finding = {
  readonly check: string
  readonly state: 'ok' | 'warning' | 'problem'
  readonly found: string
  readonly remedy: string | null
}

export const good = (check: string, found: string): Finding => ({ check, state: 'ok', found, remedy: null })

export const warn = (check: string, found: string, remedy: string): Finding => ({
  check,
  state: 'warning',
  found,
  remedy,
})

export const bad = (check: string, found: string, remedy: string): Finding => ({
  check,
  state: 'problem',
  found,
  remedy,
})
