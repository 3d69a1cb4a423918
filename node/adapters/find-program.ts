import { accessSync, constants, statSync } from 'node:fs'
import { delimiter, isAbsolute, join } from 'node:path'

/** Where a program lies in the PATH, absolute; relative folders of the PATH do not count. */
export function findProgram({ PATH = '' }: NodeJS.ProcessEnv, name: string): string | undefined {
  return PATH.split(delimiter)
    .filter((directory) => isAbsolute(directory))
    .map((directory) => join(directory, name))
    .find((path) => isProgram(path))
}

/** An absolute path of a file that we may execute. */
export function isProgram(path: string | null | undefined): path is string {
  if (!path || !isAbsolute(path)) return false
  try {
    accessSync(path, constants.X_OK)
    return statSync(path).isFile()
  } catch {
    return false // not there, or not executable for us
  }
}
