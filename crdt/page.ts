/** One page of a list; `page` counts from 1. */
export type PageRequest = { readonly page: number; readonly perPage: number }
export type Page<T> = {
  readonly items: readonly T[]
  readonly total: number
  readonly page: number
  readonly perPage: number
}

/** The same of several lists, one after the other, without joining them: they may be long. */
export function paginateRuns<T>(runs: readonly (readonly T[])[], { page, perPage }: PageRequest): Page<T> {
  const items: T[] = []
  let total = 0
  const from = (page - 1) * perPage
  for (const run of runs) {
    const begin = Math.max(0, from - total)
    if (items.length < perPage) items.push(...run.slice(begin, begin + perPage - items.length))
    total += run.length
  }
  return { items, total, page, perPage }
}

export function paginate<T>(items: readonly T[], { page, perPage }: PageRequest): Page<T> {
  const from = (page - 1) * perPage
  return { items: items.slice(from, from + perPage), total: items.length, page, perPage }
}
