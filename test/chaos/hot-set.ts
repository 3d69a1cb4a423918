/** Few files, so that everybody meets everybody. */
export const DIRECTORIES = ['left/', 'middle/', 'right/'] as const
export const FILES = DIRECTORIES.flatMap((directory) =>
  ['a.ts', 'b.ts', 'c.ts', 'd.ts'].map((name) => `${directory}${name}`),
)

/** The files a lock on this path covers. */
export const leavesOf = (path: string): string[] =>
  FILES.filter((file) => file === path || (path.endsWith('/') && file.startsWith(path)))
