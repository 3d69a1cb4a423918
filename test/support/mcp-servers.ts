import { execFileSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'

const program = (name: string): string =>
  fileURLToPath(import.meta.resolve(`@modelcontextprotocol/${name}/dist/index.js`))

/** The servers of the protocol's authors, as arguments of Node. */
export const EVERYTHING = program('server-everything')
export const FILESYSTEM = program('server-filesystem')
export const MEMORY = program('server-memory')

/** Processes now whose command line holds the text. */
export const processesWith = (text: string): string[] =>
  execFileSync('ps', ['-A', '-o', 'args='], { encoding: 'utf8' })
    .split('\n')
    .filter((line) => line.includes(text))
