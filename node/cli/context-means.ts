import { mkdir, readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { createAgentTextModel } from '../adapters/agent-text-model.ts'
import { createHttpEmbedder } from '../adapters/http-embedder.ts'
import { createHttpTextModel } from '../adapters/http-text-model.ts'
import { MEMORY, openChunkIndex } from '../adapters/sqlite-chunk-index.ts'
import { openVectraIndex } from '../adapters/vectra-index.ts'
import { toHex } from '../../protocols/codec.ts'
import type { Crypto } from '../../protocols/crypto.ts'
import type { ChunkIndex } from '../ports/chunk-index.ts'
import type { Log } from '../ports/log.ts'
import type { MachineProbe } from '../ports/machine-probe.ts'
import { createContextService, type RunningContextService } from '../services/context/context-composition.ts'
import type { ContextDeps } from '../services/context/context-deps.ts'
import type { Config } from './config.ts'
import type { Means, MeshCore, MeshNodeDeps } from './mesh-core.ts'
import { contextDir } from './mesh-files.ts'

type Surroundings = Pick<ContextDeps, 'projects' | 'tasks' | 'completions' | 'events' | 'tokens'> & {
  readonly probe: Pick<MachineProbe, 'agents'>
}

/** The context service with this node's index, in the folder of its mesh, and the models that are configured. */
export async function openContext(
  { data, config }: MeshNodeDeps,
  { means, mesh, self, documents }: MeshCore,
  { probe, ...around }: Surroundings,
): Promise<RunningContextService> {
  const outside = await openMeans(contextDir(data.meshDir(mesh)), config.context, { ...means, probe })
  return createContextService({ ...means, ...outside, ...around, self, documents })
}

type Outside = Pick<ContextDeps, 'index' | 'meaning' | 'model'>

async function openMeans(
  folder: string,
  settings: Config['context'],
  { crypto, log, probe }: Pick<Means, 'crypto' | 'log'> & Pick<Surroundings, 'probe'>,
): Promise<Outside> {
  await mkdir(folder, { recursive: true, mode: 0o700 })
  const embedder = settings.embedder && createHttpEmbedder(settings.embedder)
  const configured = settings.model && createHttpTextModel(settings.model)
  return {
    index: openIndex(join(folder, 'chunks.db'), log),
    meaning: embedder && { embedder, openVectors: () => openVectors(folder, embedder.model, crypto) },
    async model() {
      if (configured || !settings.agentCli) return configured
      const { claude } = await probe.agents()
      return claude === undefined ? undefined : createAgentTextModel(claude, process.env)
    },
  }
}

/** A full disk must not keep the node from starting: without a file the index is in memory, and made anew next time. */
function openIndex(file: string, log: Log): ChunkIndex {
  try {
    return openChunkIndex(file)
  } catch (error) {
    log.error({ err: error }, 'the index of the context cannot be written; it is kept in memory')
    return openChunkIndex(MEMORY)
  }
}

const VECTORS = 'vectors-'

async function openVectors(folder: string, model: string, { sha256 }: Pick<Crypto, 'sha256'>) {
  const name = VECTORS + toHex(sha256(new TextEncoder().encode(model))).slice(0, 16)
  for (const other of await readdir(folder))
    if (other.startsWith(VECTORS) && other !== name) await rm(join(folder, other), { recursive: true, force: true })
  return await openVectraIndex(join(folder, name))
}
