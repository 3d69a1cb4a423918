import { err, ok, type Result } from '../../crdt/result.ts'
import { normalisePath } from './resources.ts'

/**
 * Everything that any usual matcher may read as more than itself. A pattern is known by its `*` alone, since file names
 * with brackets are common; but once it is one, each of these ends what is taken literally.
 */
const WILDCARD = /[*?[{(!]/
const CLIMBS = /(^|[/,{(|])\.\.($|[/,})|])/

export const isPattern = (path: string): boolean => path.includes('*')

/**
 * The directory below which everything lies that the pattern can match: its segments before the first wildcard, `''`
 * for the whole project. It may cover more than the pattern matches, never less: two patterns that match one path cover
 * it both. The error is a sentence for the person who typed the pattern.
 */
export function patternCover(pattern: string): Result<string, string> {
  const normal = normalisePath(pattern)
  if (!normal.ok) return normal
  if (CLIMBS.test(pattern)) return err('The pattern leaves its folder (..).')
  const segments = normal.value.split('/')
  const wild = segments.findIndex((segment) => WILDCARD.test(segment))
  return ok(segments.slice(0, wild === -1 ? undefined : wild).join('/'))
}
