import { constants } from 'node:fs'
import { open } from 'node:fs/promises'
import { basename, join } from 'node:path'
import type { FoundMcp, McpDiscovery } from '../ports/mcp-discovery.ts'
import { childEnvironment } from '../hosts/child-environment.ts'
import type { AgentFormat, FileContext, ReadServers } from './mcp-agent-files.ts'

/** Claude keeps more than servers in its file. */
const FILE_BYTES_MAX = 32 * 1024 * 1024
/** Of one file; and folders that are looked into. */
const SERVERS_MAX = 200
const FOLDERS_MAX = 200

type Place = {
  readonly path: string
  readonly format: AgentFormat
  readonly isOwn: boolean
  readonly from: string
  readonly folder: string
}
type Read = { readonly stamp: string; readonly found: readonly FoundMcp[] }

export type McpDiscoveryOptions = { readonly environment: NodeJS.ProcessEnv; readonly home: string }

/** Reads what agents read. A file that has not changed is not read again; one that cannot be read has no servers. */
export function createMcpDiscovery({ environment, home }: McpDiscoveryOptions): McpDiscovery {
  let known = new Map<string, Read>()
  const variables = childEnvironment(environment)
  return {
    async find(folders) {
      const places = [...ownPlaces(home, environment), ...folders.slice(0, FOLDERS_MAX).flatMap(projectPlaces)]
      const fresh = new Map<string, Read>()
      for (const place of places) {
        const read = await readPlace(place, known.get(place.path), { variables, home })
        if (read) fresh.set(place.path, read)
      }
      known = fresh
      return [...fresh.values()].flatMap(({ found }) => found)
    },
  }
}

function ownPlaces(home: string, { XDG_CONFIG_HOME }: NodeJS.ProcessEnv): Place[] {
  const own = (path: string, format: AgentFormat): Place => ({ path, format, isOwn: true, from: format, folder: home })
  const opencode = join(XDG_CONFIG_HOME?.startsWith('/') === true ? XDG_CONFIG_HOME : join(home, '.config'), 'opencode')
  return [
    own(join(home, '.claude.json'), 'claude'),
    own(join(home, '.codex', 'config.toml'), 'codex'),
    own(join(opencode, 'opencode.json'), 'opencode'),
    own(join(opencode, 'opencode.jsonc'), 'opencode'),
  ]
}

function projectPlaces(folder: string): Place[] {
  const from = basename(folder).replace(/[^A-Za-z0-9_-]/g, '-') || 'project'
  const theirs = (path: string, format: AgentFormat): Place => ({
    path: join(folder, path),
    format,
    isOwn: false,
    from,
    folder,
  })
  return [
    theirs('.mcp.json', 'claude'),
    theirs('.codex/config.toml', 'codex'),
    theirs('opencode.json', 'opencode'),
    theirs('opencode.jsonc', 'opencode'),
  ]
}

type Means = Pick<FileContext, 'variables' | 'home'>

async function readPlace(place: Place, known: Read | undefined, means: Means): Promise<Read | undefined> {
  let file
  try {
    // Without waiting: a repository may have anything under this name, a pipe too.
    file = await open(place.path, constants.O_RDONLY | constants.O_NONBLOCK)
  } catch {
    return undefined // not there, or not for us
  }
  try {
    const facts = await file.stat()
    if (!facts.isFile() || facts.size > FILE_BYTES_MAX) return undefined
    const stamp = `${facts.dev}:${facts.ino}:${facts.size}:${facts.mtimeMs}`
    if (known?.stamp === stamp) return known
    const { buffer, bytesRead } = await file.read(Buffer.alloc(facts.size), 0, facts.size, 0)
    const text = buffer.toString('utf8', 0, bytesRead)
    // Its parsers are loaded when there is something to parse.
    const { AGENT_FORMATS } = await import('./mcp-agent-files.ts')
    return { stamp, found: foundIn(AGENT_FORMATS[place.format], text, { place, means }) }
  } catch {
    return undefined // half written, or not of its format: its agent says so to whoever uses it
  } finally {
    await file.close()
  }
}

type Around = { readonly place: Place; readonly means: Means }

function foundIn(read: ReadServers, text: string, { place, means }: Around): FoundMcp[] {
  const { path, isOwn, from, folder } = place
  const servers = read(text, { ...means, folder: isOwn ? null : folder })
  return servers.slice(0, SERVERS_MAX).map(({ name, ...server }) => ({
    ...server,
    name:
      name
        .replace(/[^A-Za-z0-9._-]/g, '-')
        .replace(/^[^A-Za-z0-9]+/, '')
        .slice(0, 64) || 'server',
    file: path,
    isOwn,
    from,
  }))
}
