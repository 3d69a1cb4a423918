import type * as Y from 'yjs'
import { claimAuthors, deletedTasks, taskBodies, taskClaims, taskCompletions, taskEdits } from './task-document.ts'
import type { PeerId } from './ids.ts'

/** Keys of the document that changed since they were last taken. */
export type TaskChanges = {
  readonly bodies: ReadonlySet<string>
  readonly edits: ReadonlySet<string>
  readonly deleted: ReadonlySet<string>
  readonly completions: ReadonlySet<string>
  readonly authors: ReadonlySet<PeerId>
}

/** Follows one Y.Doc. Everything in it counts as changed at first. */
export class TaskSource {
  readonly doc: Y.Doc
  readonly #maps: { bodies: Follow; edits: Follow; deleted: Follow; completions: Follow }
  readonly #authors = new Map<PeerId, () => void>()
  #dirtyAuthors = new Set<PeerId>()

  constructor(doc: Y.Doc) {
    this.doc = doc
    this.#maps = {
      bodies: followMap(taskBodies(doc)),
      edits: followMap(taskEdits(doc)),
      deleted: followMap(deletedTasks(doc)),
      completions: followMap(taskCompletions(doc)),
    }
  }

  take(): TaskChanges {
    this.#followNewAuthors()
    const { bodies, edits, deleted, completions } = this.#maps
    const authors = this.#dirtyAuthors
    this.#dirtyAuthors = new Set()
    return {
      bodies: bodies.take(),
      edits: edits.take(),
      deleted: deleted.take(),
      completions: completions.take(),
      authors,
    }
  }

  /** Has every claim looked at again. */
  touchAuthors(): void {
    for (const author of this.#authors.keys()) this.#dirtyAuthors.add(author)
  }

  close(): void {
    for (const map of Object.values(this.#maps)) map.stop()
    for (const stop of this.#authors.values()) stop()
  }

  #followNewAuthors(): void {
    for (const author of claimAuthors(this.doc)) {
      if (this.#authors.has(author)) continue
      const claims = taskClaims(this.doc, author)
      const touch = (): void => void this.#dirtyAuthors.add(author)
      claims.observe(touch)
      this.#authors.set(author, () => claims.unobserve(touch))
      touch()
    }
  }
}

type Follow = { take(): ReadonlySet<string>; stop(): void }

function followMap(map: Y.Map<unknown>): Follow {
  let dirty = new Set(map.keys())
  const touch = (event: Y.YMapEvent<unknown>): void => {
    for (const key of event.keysChanged) dirty.add(key)
  }
  map.observe(touch)
  return {
    take() {
      const taken = dirty
      dirty = new Set()
      return taken
    },
    stop: () => map.unobserve(touch),
  }
}
