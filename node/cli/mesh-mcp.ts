import { join } from 'node:path'
import type { PeerId } from '../../crdt/ids.ts'
import { createMcpConnector } from '../adapters/mcp-connector.ts'
import { createMcpDefinitionFile } from '../adapters/mcp-definition-file.ts'
import { createMcpDiscovery } from '../adapters/mcp-discovery.ts'
import { createSignInFiles } from '../adapters/mcp-sign-in-files.ts'
import { createMcpSignIns } from '../adapters/mcp-sign-ins.ts'
import type { MachineProbe } from '../ports/machine-probe.ts'
import { createMcpService } from '../services/mcp/mcp-composition.ts'
import type { McpDeps } from '../services/mcp/mcp-deps.ts'
import type { McpService } from '../services/mcp/mcp-service.ts'
import type { Services } from '../services/services.ts'
import type { Cleanup, MeshCore, MeshNodeDeps } from './mesh-core.ts'
import { rookeryVersion } from './version.ts'

type Around = Pick<McpDeps, 'rpc' | 'machines' | 'events'> &
  Pick<Services, 'projects'> & { readonly probe: Pick<MachineProbe, 'account'> }

/** The MCP servers of this machine, kept in the data directory, and those of the others. */
export async function openMcp(
  { data, config, audit }: MeshNodeDeps,
  { means, self, documents, membership, contacts }: MeshCore,
  { projects, probe, ...around }: Around,
  cleanup: Cleanup,
): Promise<McpService> {
  const { home } = probe.account()
  const outside = { environment: process.env, home }
  const folder = join(data.path, 'mcp')
  const signIns = createSignInFiles(join(folder, 'sign-ins'))
  const folderOf = (paths: Readonly<Record<PeerId, string>>): string[] => {
    const path = paths[self]
    return path === undefined ? [] : [path]
  }
  const mcp = await createMcpService({
    ...means,
    ...around,
    self,
    documents,
    membership,
    audit,
    definitions: createMcpDefinitionFile(folder),
    connector: createMcpConnector({
      ...outside,
      processFile: join(folder, 'running.json'),
      version: rookeryVersion(),
      signIns,
    }),
    signIns: createMcpSignIns(signIns, means.clock),
    discovery: config.mcp.discover ? createMcpDiscovery(outside) : undefined,
    folders: async () => (await projects.all()).flatMap(({ paths }) => folderOf(paths)),
    runningMax: config.mcp.max,
    refusal: ({ from }) => (from === self ? undefined : config.mcp.remote ? contacts.refusal(from) : NOT_FOR_OTHERS),
  })
  cleanup.push(() => mcp.close())
  return mcp.service
}

const NOT_FOR_OTHERS = 'This machine keeps its MCP servers to itself (mcp.remote).'
