import { flushCompileCache } from 'node:module'
import { CertificateError } from '../adapters/gateway-certificate.ts'
import { foldRepeats } from '../adapters/folded-log.ts'
import { createPinoLog } from '../adapters/pino-log.ts'
import { StoreUnusableError } from '../adapters/level-db.ts'
import { systemClock } from '../adapters/system-clock.ts'
import { StorageError } from '../services/feeds/documents.ts'
import type { RecoveryStatus } from '../services/membership/recovery-service.ts'
import { goOnWithoutOutput } from './closed-output.ts'
import type { Config, LoadedConfig } from './config.ts'
import { CommandFailure, EXIT } from './exit.ts'
import { runNode, type RunningNode } from './run-node.ts'
import { isDiskFull } from './system-failure.ts'

/** A stop that takes longer than this has gone wrong: what is durable is durable, so the process ends. */
const STOP_DEADLINE_MS = 1900

/** A small binary keeps the whole pool that it was cut from: Node's own 64 kB each are much for a peer id that lives long. */
const BUFFER_POOL_BYTES = 8 * 1024

/** `rookery up`: runs until SIGINT, SIGTERM or `rookery down`, then ends with 0. */
export async function runUp(
  dataDir: string,
  { config, sources }: LoadedConfig,
  output: { json: boolean },
): Promise<void> {
  Buffer.poolSize = BUFFER_POOL_BYTES
  const log = foldRepeats(createPinoLog(config.log.level), systemClock)
  const node = await runNode(dataDir, config, log, sources).catch((error: unknown) => {
    throw explain(error, config, dataDir)
  })
  const stop = (): void => {
    setTimeout(() => {
      log.error({}, 'stopping took too long: ending now')
      process.exit(0)
    }, STOP_DEADLINE_MS).unref()
    void node.stop()
  }
  process.once('SIGINT', stop)
  process.once('SIGTERM', stop)
  goOnWithoutOutput()
  await announce(dataDir, node, output)
  // Otherwise it is written at the end, which is not reached by a process that is killed.
  flushCompileCache()
  await node.stopped
  process.exit(0)
}

async function announce(dataDir: string, node: RunningNode, { json }: { json: boolean }): Promise<void> {
  const { services, core } = node.mesh()
  const certificate = node.certificate()
  const { meshId, peerId, name, http, members, setupCode } = {
    setupCode: undefined,
    ...(await services.mesh.status()),
  }
  if (json) {
    const ready = {
      mesh_id: meshId,
      peer_id: peerId,
      name,
      http,
      tls_fingerprint: certificate?.fingerprint,
      data_dir: dataDir,
      setup_code: setupCode,
    }
    process.stdout.write(`${JSON.stringify(ready)}\n`)
    return
  }
  const lines = [
    `Rookery is running on this machine (${name}).`,
    '',
    ...(http === null ? [] : [`  open       ${setupCode === undefined ? http : `${http}/#setup=${setupCode}`}`]),
    ...(certificate === null ? [] : [`  TLS        certificate with SHA-256 ${certificate.fingerprint}`]),
    `  data       ${dataDir}`,
    `  mesh       ${meshId.slice(0, 12)} with ${members.length} ${members.length === 1 ? 'member' : 'members'}`,
    '',
    ...(setupCode === undefined || http === null
      ? []
      : ['Open that address to make the first user; the link works once.']),
    ...(members.length === 1 ? ['To add a machine: `rookery invite` here, `rookery join <ticket>` there.'] : []),
    ...(core.boot === 1 && isOnlyAdmin(services.recovery.status()) ? [OFFER_RECOVERY] : []),
    'Stop with Ctrl-C; sessions go on.',
    '',
  ]
  process.stdout.write(lines.join('\n'))
}

const OFFER_RECOVERY =
  'So that losing this machine does not orphan the mesh: `rookery recovery create` prints 24 words to write down.'

const isOnlyAdmin = ({ isAdmin, admins, keys }: RecoveryStatus): boolean =>
  isAdmin && admins.length === 1 && keys.length === 0

/** What a person can mend gets a sentence; everything else keeps its stack. */
function explain(error: unknown, { http, p2p }: Config, dataDir: string): unknown {
  if (!(error instanceof Error)) return error
  if (isDiskFull(error))
    return new CommandFailure(`The disk of ${dataDir} is full: make room, then start again.`, EXIT.refused, {
      code: 'disk_full',
    })
  if (error instanceof StoreUnusableError) return new CommandFailure(error.message, EXIT.refused)
  if (error instanceof CertificateError) return new CommandFailure(error.message, EXIT.refused)
  if (error instanceof StorageError) return new CommandFailure(damageOf(error, dataDir), EXIT.refused)
  if (error.name === 'UnsupportedListenAddressesError')
    return new CommandFailure(
      `The addresses for other nodes (${p2p.listen.join(', ')}) cannot be listened on, maybe because they are in use. Choose others with --p2p.`,
      EXIT.refused,
    )
  const code = 'code' in error ? error.code : undefined
  const place = `${http.host}:${http.port}`
  if (code === 'EADDRINUSE')
    return new CommandFailure(
      `The address ${place} is in use, maybe by another node. Choose another with --http ${http.host}:<port>.`,
      EXIT.refused,
    )
  if (code === 'EACCES' || code === 'EADDRNOTAVAIL')
    return new CommandFailure(
      `The gateway cannot listen on ${place}: ${error.message}. Choose with --http.`,
      EXIT.refused,
    )
  return error
}

function damageOf(error: StorageError, dataDir: string): string {
  if (error.cause instanceof StoreUnusableError) return error.cause.message
  return `${error.message} The store in ${dataDir} is damaged. Restore a backup into an empty --data-dir (\`rookery restore\`), or join the mesh again with a new one: the other members still have the documents. A copy made in another way would write what they take for forgeries.`
}
