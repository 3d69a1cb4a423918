import type { Clock } from '../../ports/clock.ts'
import { othersTurn } from '../others-turn.ts'
import type { KnownCommand } from './command-catalogue.ts'

/** Commands looked at before others have their turn: a millisecond or two. */
const SLICE = 2000

/**
 * The commands in which every word occurs, in whatever place. Those come first whose name begins with what was searched,
 * then those whose name has it, then the rest, each in the order they were in.
 */
export async function matching(
  commands: readonly KnownCommand[],
  search: string | undefined,
  clock: Pick<Clock, 'after'>,
): Promise<readonly KnownCommand[]> {
  if (search === undefined) return commands
  const phrase = search.trim().toLowerCase()
  const words = phrase.split(/\s+/)
  const ranks: [KnownCommand[], KnownCommand[], KnownCommand[]] = [[], [], []]
  for (const [at, command] of commands.entries()) {
    if (at % SLICE === SLICE - 1) await othersTurn(clock)
    const { name, line, description, type, category, source } = command
    const text = [name, line, description, type, category, source ?? ''].join('\n').toLowerCase()
    if (!words.every((word) => text.includes(word))) continue
    const place = name.toLowerCase().indexOf(phrase)
    ranks[place === 0 ? 0 : place > 0 ? 1 : 2].push(command)
  }
  return ranks.flat()
}
