import { err, ok, type Result } from '../../crdt/result.ts'
import { RESOURCE_KEY_CHARS_MAX, type Resource } from './messages.ts'

/** Leaves room in a resource key for the project's identity in front of the path. */
export const PATH_CHARS_MAX = 1024
/** Real trees stay below 40; every level costs a voter one index entry. */
export const PATH_SEGMENTS_MAX = 64

/**
 * The one spelling of a path relative to the project root: NFC, segments joined by `/`, no leading or trailing slash,
 * no `.` or empty segments, no trailing dots or spaces in a segment (Windows drops them). The root itself is `''`.
 * Idempotent. The error is a sentence for the person who typed the path.
 *
 * A voter refuses keys that are not spelled like this, so callers pass every path through here first.
 */
export function normalisePath(input: string): Result<string, string> {
  if (!input.isWellFormed()) return err('The path is not valid Unicode.')
  if (input.includes('\0')) return err('The path contains a NUL character.')
  if (input.includes('\\')) return err('The path contains a backslash: separate folders by /.')
  if (input.startsWith('/')) return err('The path is absolute: give it relative to the project root.')
  const segments: string[] = []
  for (const segment of input.normalize('NFC').split('/')) {
    if (segment === '' || segment === '.') continue
    if (segment === '..') return err('The path leaves the project root (..).')
    const kept = segment.replace(TRAILING_DOTS_AND_SPACES, '')
    if (kept === '') return err('A part of the path consists of dots and spaces only.')
    segments.push(kept)
  }
  if (segments.length > PATH_SEGMENTS_MAX) return err(`The path is deeper than ${PATH_SEGMENTS_MAX} folders.`)
  const path = segments.join('/')
  if (path.length > PATH_CHARS_MAX) return err(`The path is longer than ${PATH_CHARS_MAX} characters.`)
  return ok(path)
}

const TRAILING_DOTS_AND_SPACES = /[. ]+$/

/**
 * The key of a path in a project some of whose machines do not tell upper from lower case. Of a normalised path, makes a
 * normalised one; idempotent. It can be longer than the path.
 */
export const foldCase = (path: string): string => path.normalize('NFC').toLowerCase().normalize('NFC')

/** Two resources overlap when one lease over each would cover a common thing. Symmetric. */
export function overlaps(a: Resource, b: Resource): boolean {
  if (a.kind !== b.kind) return false
  return (
    a.key === b.key ||
    (a.mode === 'subtree' && isBelow(b.key, a.key)) ||
    (b.mode === 'subtree' && isBelow(a.key, b.key))
  )
}

const isBelow = (key: string, ancestor: string): boolean => ancestor === '' || key.startsWith(`${ancestor}/`)

/** Sorted and without duplicates: the only order in which a voter accepts the resources of a lease. */
export function sortResources(resources: readonly Resource[]): Resource[] {
  const sorted = resources.toSorted(compareResources)
  return sorted.filter((resource, i) => {
    const before = sorted[i - 1]
    return before === undefined || compareResources(before, resource) !== 0
  })
}

/** What a voter demands of the resources of a request: normalised keys, sorted, no duplicates. */
export function areNormalised(resources: readonly Resource[]): boolean {
  return resources.every((resource, i) => {
    const before = resources[i - 1]
    return isNormalised(resource) && (before === undefined || compareResources(before, resource) < 0)
  })
}

function isNormalised({ kind, key, mode }: Resource): boolean {
  if (kind !== 'path') return mode === 'exact' && PLAIN_KEY.test(key)
  if (key.length > RESOURCE_KEY_CHARS_MAX || (key === '' && mode === 'exact')) return false
  const segments = key.split('/')
  if (segments.length > PATH_SEGMENTS_MAX + 1) return false
  return segments.every((segment) => (key === '' ? true : normalisedSegment(segment)))
}

function normalisedSegment(segment: string): boolean {
  const path = normalisePath(segment)
  return segment !== '' && path.ok && path.value === segment
}

/** Tasks and names are identifiers of ours; nothing in them needs a normal form. */
const PLAIN_KEY = /^[\x21-\x7e]{1,256}$/

const compareResources = (a: Resource, b: Resource): number =>
  compareText(a.kind, b.kind) || compareText(a.key, b.key) || compareText(a.mode, b.mode)

const compareText = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)

export const sameResources = (a: readonly Resource[], b: readonly Resource[]): boolean =>
  a.length === b.length &&
  a.every((resource, i) => {
    const other = b[i]
    return other !== undefined && compareResources(resource, other) === 0
  })
