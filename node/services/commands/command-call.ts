import { CALL_WORDS_MAX, SHELL_COMMAND, type CommandCall } from '../../../crdt/command.ts'
import { lineOf, setsLoaderVariable } from '../../../crdt/command-line.ts'
import { invalidField, type DomainError } from '../../../crdt/errors.ts'
import { err, ok, type Result } from '../../../crdt/result.ts'
import type { KnownCommand } from './command-catalogue.ts'

type Called = {
  /** The program and all that it is given, each word as it is. */
  readonly words: readonly string[]
  /** As a person would type it. */
  readonly line: string
}

/**
 * What a call of a command runs: its own words, then options it knows, then arguments it has a place for. No word of a
 * caller can become an option, set what a program loads, or meet a shell as text to be read.
 * @errors invalid_input
 */
export function calledAs(command: KnownCommand, call: CommandCall): Result<Called> {
  const problem = optionProblem(command, call) ?? argumentProblem(command, call)
  if (problem) return err(problem)
  const given = [...call.options, ...call.arguments]
  if (given.length > CALL_WORDS_MAX) return err(invalidField('arguments', `At most ${CALL_WORDS_MAX} words at once.`))
  const line = command.type === SHELL_COMMAND || command.type === 'script' ? command.line : lineOf(command.words)
  return ok({ words: [...command.words, ...given], line: [line, ...given.map((word) => lineOf([word]))].join(' ') })
}

function optionProblem({ options }: KnownCommand, call: CommandCall): DomainError | undefined {
  const isKnown = (option: string): boolean =>
    options.some((known) => (known.endsWith('=') ? option.startsWith(known) : option === known))
  const unknown = call.options.find((option) => !isKnown(option))
  if (unknown === undefined) return wordProblem('options', call.options)
  const known = options.length === 0 ? 'It takes none.' : `It takes ${options.join(', ')}.`
  return invalidField('options', `The command has no option ${unknown}. ${known}`)
}

function argumentProblem({ arguments: places }: KnownCommand, call: CommandCall): DomainError | undefined {
  const given = call.arguments
  const required = places.filter((place) => place.required)
  const missing = required[given.length]
  if (given.length < required.length && missing)
    return invalidField('arguments', `The command needs the argument ${missing.name}.`)
  if (given.length > places.length && !places.at(-1)?.variadic)
    return invalidField(
      'arguments',
      places.length === 0
        ? 'The command takes no arguments. Register one that does (its field arguments).'
        : `The command takes at most ${places.length} arguments (${places.map(({ name }) => name).join(', ')}).`,
    )
  const dashed = given.find((word) => word.startsWith('-'))
  if (dashed !== undefined)
    return invalidField('arguments', `${dashed} would be taken for an option: those go into options.`)
  return wordProblem('arguments', given)
}

function wordProblem(field: string, words: readonly string[]): DomainError | undefined {
  if (words.some((word) => word.includes('\0'))) return invalidField(field, 'Must not contain NUL.')
  const loader = words.find(setsLoaderVariable)
  return loader === undefined
    ? undefined
    : invalidField(field, `${loader} changes what other programs load: that is not allowed.`)
}
