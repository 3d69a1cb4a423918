import type * as Y from 'yjs'

/** A value as it lies in a document, with the Yjs client id of whoever put it there. */
export type Written = { readonly value: unknown; readonly client: number }

export function* writtenIn(array: Y.Array<unknown>): Generator<Written> {
  for (let item = array._start; item !== null; item = item.right) {
    if (item.deleted) continue
    for (const value of item.content.getContent()) yield { value, client: item.id.client }
  }
}

export function writtenAt(map: Y.Map<unknown>, key: string): Written | undefined {
  const item = map._map.get(key)
  return item && !item.deleted ? { value: item.content.getContent().at(-1), client: item.id.client } : undefined
}
