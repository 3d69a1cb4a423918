/** One page of a list; `page` counts from 1. */
export type PageRequest = { readonly page: number; readonly perPage: number }
export type Page<T> = {
  readonly items: readonly T[]
  readonly total: number
  readonly page: number
  readonly perPage: number
}

export function paginate<T>(items: readonly T[], { page, perPage }: PageRequest): Page<T> {
  const from = (page - 1) * perPage
  return { items: items.slice(from, from + perPage), total: items.length, page, perPage }
}
