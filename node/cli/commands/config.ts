import { resolve } from 'node:path'
import type { Command } from 'commander'
import { command, print, table, type CommonOptions } from '../command.ts'
import { loadConfig } from '../config.ts'

export function configCommand(): Command {
  return command('config', 'print the effective configuration and where each value comes from').action(
    async (options: CommonOptions) => {
      const dataDir = resolve(options.dataDir)
      const { config, sources } = await loadConfig(dataDir, process.env, {})
      const rows = flatten(config).map(([key, value]) => [key, JSON.stringify(value), sources[key] ?? 'default'])
      print(options, { data_dir: dataDir, config, sources }, () => [
        `# ${dataDir}/config.json, then ROOKERY_… variables, then flags`,
        ...table(rows),
      ])
    },
  )
}

function flatten(value: object, prefix = ''): [string, unknown][] {
  return Object.entries(value).flatMap(([key, inner]): [string, unknown][] =>
    typeof inner === 'object' && inner !== null && !Array.isArray(inner)
      ? flatten(inner, `${prefix}${key}.`)
      : [[`${prefix}${key}`, inner]],
  )
}
