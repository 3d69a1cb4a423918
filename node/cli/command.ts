import { homedir } from 'node:os'
import { join, resolve } from 'node:path'
import type { Duplex } from 'node:stream'
import { Command, InvalidArgumentError } from 'commander'
import type { Result } from '../../crdt/result.ts'
import { attachToNode, callNode, NodeNotRunningError } from './control-client.ts'
import type { ControlMethodName } from './control-methods.ts'
import { CommandFailure, EXIT, failureOf } from './exit.ts'
import { isLook, patiently } from './patience.ts'
import { printable } from './say.ts'

export type CommonOptions = { readonly dataDir: string; readonly json?: boolean }

export const defaultDataDir = (environment: NodeJS.ProcessEnv): string =>
  environment.ROOKERY_DATA_DIR ?? join(homedir(), '.rookery')

/** A command that only gathers subcommands. It takes no options: commander would keep them from the subcommands. */
export function group(name: string, description: string): Command {
  return new Command(name).description(description).helpOption('-h, --help', 'show this help')
}

/** A subcommand with what all of them share: `--data-dir`, `--json`, `--help`. */
export function command(name: string, description: string): Command {
  return new Command(name)
    .description(description)
    .option('--data-dir <directory>', 'data directory of the node', defaultDataDir(process.env))
    .option('--json', 'print one JSON value on the last line of standard output')
    .helpOption('-h, --help', 'show this help')
    .showHelpAfterError('(add --help for what can be said here)')
}

export const controlSocket = (options: CommonOptions): string => join(resolve(options.dataDir), 'control.sock')

/** Asks the running node, which may take its time. @throws NodeNotRunningError, and as `patiently` does */
export async function callPatiently(
  options: CommonOptions,
  method: ControlMethodName,
  input: object,
): Promise<Result<unknown>> {
  const socket = controlSocket(options)
  const call = (signal: AbortSignal): Promise<Result<unknown>> => callNode(socket, method, input, signal)
  return await patiently(socket, call, { givesUp: isLook(method) })
}

/**
 * Asks the running node and returns its answer.
 * @throws CommandFailure with exit code 3 when no node runs, else as `exitCodeOf` says.
 */
export async function ask<T>(options: CommonOptions, method: ControlMethodName, input: object = {}): Promise<T> {
  try {
    const result = await callPatiently(options, method, input)
    if (result.ok) return result.value as T
    throw failureOf(result.error)
  } catch (error) {
    throw withoutNode(error)
  }
}

/** Opens the raw byte stream of what the running node has. @throws as `ask` does */
export async function attach(options: CommonOptions, path: string): Promise<Duplex> {
  const socket = controlSocket(options)
  try {
    return await patiently(socket, async () => await attachToNode(socket, path), { givesUp: false })
  } catch (error) {
    throw withoutNode(error)
  }
}

const withoutNode = (error: unknown): unknown =>
  error instanceof NodeNotRunningError
    ? new CommandFailure(error.message, EXIT.notRunning, { code: 'node_not_running' })
    : error

/** Prints the answer: JSON when asked for, else the lines for a person, without what would control a terminal. */
export function print(options: CommonOptions, value: unknown, lines: () => readonly string[]): void {
  if (options.json) process.stdout.write(`${JSON.stringify(value)}\n`)
  else for (const line of lines()) process.stdout.write(`${printable(line)}\n`)
}

/** Columns padded to their widest cell. */
export function table(rows: readonly (readonly string[])[]): string[] {
  const widths = rows.reduce<number[]>((max, row) => row.map((cell, i) => Math.max(max[i] ?? 0, cell.length)), [])
  return rows.map((row) =>
    row
      .map((cell, i) => (i === row.length - 1 ? cell : cell.padEnd(widths[i] ?? 0)))
      .join('  ')
      .trimEnd(),
  )
}

const UNITS_MS = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const

/** `90s`, `15m`, `24h`, `7d` in milliseconds. */
export function parseDuration(text: string): number {
  const match = /^([0-9]{1,6})([smhd])$/.exec(text)
  const unit = match?.[2]
  if (!match || (unit !== 's' && unit !== 'm' && unit !== 'h' && unit !== 'd'))
    throw new InvalidArgumentError('Give a number and a unit, like 90s, 15m, 24h or 7d.')
  return Number(match[1]) * UNITS_MS[unit]
}

export function parseWhole(text: string): number {
  if (!/^[0-9]{1,15}$/.test(text)) throw new InvalidArgumentError('Give a whole number.')
  return Number(text)
}
