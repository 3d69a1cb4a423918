import { resolve } from 'node:path'
import type { Command } from 'commander'
import { ask, command, print, table, type CommonOptions } from '../command.ts'
import { flattenConfig, loadConfig, type ConfigSource, type LoadedConfig } from '../config.ts'
import { CommandFailure, EXIT } from '../exit.ts'

export function configCommand(): Command {
  return command('config', 'print the configuration in effect and where each value comes from')
    .addHelpText(
      'after',
      '\nWhile a node runs, that is what it was started with, flags included. Where the file and the environment of this\ncommand say something else by now, that is shown as NEXT START: what `rookery up` without flags would take.',
    )
    .action(async (options: CommonOptions) => {
      const dataDir = resolve(options.dataDir)
      const next = await loadConfig(dataDir, process.env, {})
      const running = await configOfNode(options)
      const { config, sources } = running ?? next
      const nextStart = differences(next, running ?? next)
      const view = { data_dir: dataDir, is_running: running !== undefined, config, sources, next_start: nextStart }
      print(options, view, () => [
        `# ${dataDir}: ${running ? 'what the running node was started with' : 'what a node started now would take'}`,
        ...table(rowsOf({ config, sources }, nextStart)),
      ])
    })
}

async function configOfNode(options: CommonOptions): Promise<LoadedConfig | undefined> {
  try {
    return await ask<LoadedConfig>(options, 'node.config')
  } catch (error) {
    if (error instanceof CommandFailure && error.exitCode === EXIT.notRunning) return undefined
    throw error
  }
}

type Setting = { readonly value: unknown; readonly source: ConfigSource }
type Settings = Readonly<Record<string, Setting>>

/** By dotted path. */
function settingsOf({ config, sources }: LoadedConfig): Settings {
  const settings = flattenConfig(config).map(([key, value]) => [key, { value, source: sources[key] ?? 'default' }])
  return Object.fromEntries(settings)
}

const UNSET: Setting = { value: null, source: 'default' }

/** Settings whose value would be another one, as they would be. */
function differences(next: LoadedConfig, inEffect: LoadedConfig): Settings {
  const [then, now] = [settingsOf(next), settingsOf(inEffect)]
  const changed = Object.keys({ ...now, ...then }).filter(
    (key) => JSON.stringify(then[key]?.value) !== JSON.stringify(now[key]?.value),
  )
  return Object.fromEntries(changed.map((key) => [key, then[key] ?? UNSET]))
}

function rowsOf(inEffect: LoadedConfig, nextStart: Settings): string[][] {
  const settings = settingsOf(inEffect)
  const hasNext = Object.keys(nextStart).length > 0
  const heading = ['SETTING', 'VALUE', 'FROM', ...(hasNext ? ['NEXT START'] : [])]
  const rows = Object.keys({ ...settings, ...nextStart }).map((key) => {
    const { value, source } = settings[key] ?? UNSET
    const next = nextStart[key]
    return [key, wordsOf(value), source, ...(next ? [`${wordsOf(next.value)} (${next.source})`] : [])]
  })
  return [heading, ...rows]
}

const wordsOf = (value: unknown): string => (value === null ? '-' : JSON.stringify(value))
