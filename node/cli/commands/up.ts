import { resolve } from 'node:path'
import { InvalidArgumentError, Option, type Command } from 'commander'
import { command, type CommonOptions } from '../command.ts'
import { LOG_LEVELS } from '../../ports/log.ts'
import { loadConfig } from '../config.ts'
import { collect } from './work-flags.ts'

type UpOptions = {
  http?: { host: string; port: number }
  tls?: 'auto' | 'off'
  p2p: string[]
  name?: string
  gateway: boolean
  mdns: boolean
  logLevel?: string
}

export function upCommand(): Command {
  return command('up', 'run this machine as a node (and gateway) of its mesh; the first start creates one')
    .option('--http <host:port>', 'address of the gateway (default 127.0.0.1:8000)', parseHostAndPort)
    .addOption(
      new Option('--tls <how>', 'serve TLS, with a certificate that the node makes itself').choices(['auto', 'off']),
    )
    .option('--p2p <multiaddr>', 'address to listen on for other nodes (may be repeated)', collect, [])
    .option('--name <name>', 'name of this machine in the mesh')
    .option('--no-gateway', 'do not serve HTTP')
    .option('--no-mdns', 'do not look for members on the local network')
    .option('--log-level <level>', LOG_LEVELS.join(', '))
    .action(async (options: CommonOptions & UpOptions) => {
      const dataDir = resolve(options.dataDir)
      const loaded = await loadConfig(dataDir, process.env, flagsOf(options))
      const { runUp } = await import('../up.ts')
      await runUp(dataDir, loaded, { json: options.json ?? false })
    })
}

/** Only what was said on the command line; `--no-…` flags default to true and say nothing then. */
function flagsOf(options: UpOptions): Record<string, unknown> {
  return {
    'http.host': options.http?.host,
    'http.port': options.http?.port,
    'http.tls': options.tls,
    'p2p.listen': options.p2p.length > 0 ? options.p2p : undefined,
    name: options.name,
    gateway: options.gateway ? undefined : false,
    'p2p.mdns': options.mdns ? undefined : false,
    'log.level': options.logLevel,
  }
}

/** `127.0.0.1:8000`, `[::1]:8000`, or a port alone. */
function parseHostAndPort(text: string): { host: string; port: number } {
  const match = /^(?:(?:\[([0-9a-f:.]+)\]|([^:[\]]+)):)?([0-9]{1,5})$/i.exec(text)
  const port = Number(match?.[3])
  if (!match || port > 65535) throw new InvalidArgumentError('Give host:port, like 127.0.0.1:8000.')
  return { host: match[1] ?? match[2] ?? '127.0.0.1', port }
}
