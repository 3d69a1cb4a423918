import type { CommandArgument, FoundCommandType } from '../../crdt/command.ts'

/** Something in a folder that can be run. */
export type FoundCommand = {
  readonly type: FoundCommandType
  /** What runs it, as words; the first is a program in the PATH, or an absolute path. */
  readonly words: readonly string[]
  readonly description: string
  /** All that its file says about it. Two that agree in everything here are the same command. */
  readonly meaning: string
  readonly arguments: readonly CommandArgument[]
  readonly options: readonly string[]
  /** The file that says so and the folder where it runs, absolute. */
  readonly source: string
  readonly folder: string
  /** When the file last changed, in milliseconds since the epoch. */
  readonly changedAtMs: number
}

export type FoundCommands = {
  readonly commands: readonly FoundCommand[]
  /** False: a limit was met (folders, commands), and some are not among them. */
  readonly isComplete: boolean
}

/** Finds what can be run in the folders of this machine. It reads files; it never executes anything. */
export interface CommandFinder {
  /** Everything below the top folder of a project, in the order of folders; none when it is not there. */
  findBelow(top: string, signal: AbortSignal): Promise<FoundCommands>
  /** What one folder says now, without those below it. `top` as in `findBelow`: it decides about lock files. */
  findIn(folder: string, top: string): Promise<readonly FoundCommand[]>
  /** The folder behind links, absolute; undefined when there is no such folder. */
  realFolder(path: string): Promise<string | undefined>
  /** The absolute path of a program: found in the PATH, or in `folder` when it has a slash. Undefined: not executable. */
  program(name: string, folder: string): string | undefined
}
