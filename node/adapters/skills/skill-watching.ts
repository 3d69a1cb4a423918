import { watch, type FSWatcher } from 'node:fs'
import type { SkillWatch } from '../../ports/skill-files.ts'

/** Each takes one of the watches that the system allows to all programs of this user. */
const WATCHED_MAX = 1024

/** Tells that something happened in a folder, not what: whoever is told looks. */
export function watchSkillFolders(onChange: () => void): SkillWatch {
  const watched = new Map<string, FSWatcher>()
  const drop = (folder: string): void => {
    watched.get(folder)?.close()
    watched.delete(folder)
  }
  const follow = (folder: string): boolean => {
    if (watched.has(folder)) return true
    if (watched.size >= WATCHED_MAX) return false
    try {
      const watcher = watch(folder, { persistent: false }, onChange)
      watcher.on('error', () => drop(folder))
      watched.set(folder, watcher)
      return true
    } catch {
      return false // gone, or the system lets no more be watched
    }
  }
  return {
    set(folders) {
      const wanted = new Set(folders)
      for (const folder of watched.keys()) if (!wanted.has(folder)) drop(folder)
      return [...wanted].filter((folder) => !follow(folder)).length
    },
    close() {
      for (const folder of watched.keys()) drop(folder)
    },
  }
}
