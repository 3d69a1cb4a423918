import { existsSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { z } from 'zod'

/** The version in the nearest package.json: the clone's, or the installed package's above `dist/`. */
export function rookeryVersion(): string {
  let directory = import.meta.dirname
  while (!existsSync(join(directory, 'package.json'))) directory = dirname(directory)
  return z.object({ version: z.string() }).parse(JSON.parse(readFileSync(join(directory, 'package.json'), 'utf8')))
    .version
}
