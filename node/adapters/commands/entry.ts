import type { CommandArgument } from '../../../crdt/command.ts'
import type { FoundCommand } from '../../ports/command-finder.ts'

/** What a file says can be run; the file and its folder are added by who read it. */
export type Entry = Pick<FoundCommand, 'type' | 'words' | 'description' | 'meaning'> &
  Partial<Pick<FoundCommand, 'arguments' | 'options'>>

/** Programs that hand everything on to the script take any words; options would be taken for their own. */
export const ANY_WORDS: readonly CommandArgument[] = [
  { name: 'arguments', description: 'Handed on to the script.', required: false, variadic: true },
]

/** Names that no program could take for an option. */
export const isName = (name: string): boolean => name !== '' && name.length <= 128 && !/^-|[\0\n\r]/.test(name)

/** Any JSON or TOML as an object, or an empty one: the file is whatever somebody wrote. */
export const objectOf = (value: unknown): Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : {}

export const textOf = (value: unknown): string => (typeof value === 'string' ? value : '')
