import type { Duplex } from 'node:stream'
import { domainError } from '../../crdt/errors.ts'
import { err, ok, type Result } from '../../crdt/result.ts'
import type { Gateway } from '../../gateway/server.ts'
import { openAuditFile } from '../adapters/audit-file.ts'
import { DataDirectoryError, openDataDirectory, type DataDirectory } from '../adapters/data-directory.ts'
import { watchEventLoop } from '../adapters/event-loop-watch.ts'
import { createPrometheusMetrics } from '../adapters/prometheus-metrics.ts'
import { systemClock } from '../adapters/system-clock.ts'
import type { Audit } from '../ports/audit.ts'
import type { Cancel } from '../ports/clock.ts'
import type { Log } from '../ports/log.ts'
import { budgetProblems } from '../services/feeds/budget.ts'
import type { Metrics, MetricsPage } from '../ports/metrics.ts'
import { serveAttach } from './attach-server.ts'
import { serveBackup } from './backup-server.ts'
import { hostName, type Config, type ConfigSources, type LoadedConfig } from './config.ts'
import { nodeState } from './control-client.ts'
import { localActor, type CertificateView, type ControlContext } from './control-method.ts'
import { serveControl, type Attached } from './control-server.ts'
import { openGatewayTls, type GatewayTls } from './gateway-tls.ts'
import { identityOf, type Identity } from './identity.ts'
import { joinWithTicket } from './joining.ts'
import type { MeshNodeDeps } from './mesh-core.ts'
import { healthOf } from './mesh-health.ts'
import { settleMesh } from './mesh-files.ts'
import { openMeshNode, type MeshNode } from './mesh-node.ts'
import { equipSignIn, type SignInEquipment } from './sign-in-means.ts'
import { storageView } from './storage-view.ts'
import { meterProcess } from './process-metrics.ts'
import { rookeryVersion } from './version.ts'

export type Joined = Result<{ mesh_id: string; peer_id: string }>

export type RunningNode = {
  mesh(): MeshNode
  /** Base address of the gateway, or null without one. */
  http(): string | null
  /** The certificate that the gateway serves TLS with, or null without TLS. */
  certificate(): CertificateView | null
  /** Moves over to the mesh of a ticket. @errors mesh_not_empty and those of the ticket */
  join(ticket: string, name?: string): Promise<Joined>
  /** Stops everything within seconds; sessions go on. May be called more than once. */
  stop(): Promise<void>
  /** Resolves when the node has stopped, whoever asked for it. */
  readonly stopped: Promise<void>
}

/**
 * Runs a node (and gateway) on a data directory, founding a mesh on the first start. `sources` is for who asks where the
 * configuration came from.
 * @throws DataDirectoryError, ConfigError, StoreUnusableError and listening errors, each saying what to do
 */
export async function runNode(
  dataDir: string,
  config: Config,
  log: Log,
  sources: ConfigSources = {},
): Promise<RunningNode> {
  const data = await openDataDirectory(dataDir)
  await refuseSecondNode(data)
  return await new Supervisor(data, { config, sources }, log).start()
}

/** A node under load answers in milliseconds, on a very slow machine in a second or two. */
const ANSWER_MS = 5000

/** The store's own lock is what excludes a second process; asking first gives the better message. */
async function refuseSecondNode({ controlSocket, path }: DataDirectory): Promise<void> {
  const state = await nodeState(controlSocket, AbortSignal.timeout(ANSWER_MS))
  if (state === 'running')
    throw new DataDirectoryError(
      `A node is already running on ${path}. Stop it with \`rookery down\`, or use another --data-dir.`,
    )
  if (state === 'silent')
    throw new DataDirectoryError(
      `A node is already running on ${path}, and does not answer: see \`rookery doctor\`. If it stays like that, end its process; sessions go on.`,
    )
}

/** Keeps one mesh running, and moves the node over to another one when it joins or leaves. */
class Supervisor {
  #data: DataDirectory
  readonly #config: Config
  readonly #sources: ConfigSources
  readonly #log: Log
  #identity: Identity
  #node: MeshNode | undefined
  #gateway: Gateway | undefined
  #audit: Audit | undefined
  #signIn: SignInEquipment | undefined
  #http: string | null = null
  #tls: GatewayTls | undefined
  #stopRenewing: Cancel = () => undefined
  readonly #metrics: Metrics & MetricsPage
  readonly #eventLoop = watchEventLoop(systemClock)
  /** Joining, leaving and stopping, one at a time. */
  #moving: Promise<unknown> = Promise.resolve()
  #stopping: Promise<void> | undefined
  readonly #ending = new AbortController()
  #closeAll: () => Promise<void> = async () => undefined

  constructor(data: DataDirectory, { config, sources }: LoadedConfig, log: Log) {
    this.#data = data
    this.#config = config
    this.#sources = sources
    this.#log = log
    this.#identity = identityOf(data)
    this.#metrics = createPrometheusMetrics(log)
    meterProcess(this.#metrics, this.#eventLoop)
  }

  async start(): Promise<RunningNode> {
    const audit = await openAuditFile(this.#data.auditFile)
    this.#audit = audit
    const stopped = Promise.withResolvers<void>()
    try {
      this.#signIn = await equipSignIn({
        dataDir: this.#data.path,
        config: this.#config,
        log: this.#log,
        http: () => this.#http,
      })
      await this.#open()
      const control = await serveControl(this.#data.controlSocket, {
        context: () => this.#controlContext(),
        attach: (what, socket) => this.#attach(what, socket),
        backup: (socket) => this.#backup(socket),
        log: this.#log,
      })
      this.#closeAll = async () => {
        try {
          await control.close()
          await this.#close()
          await audit.close()
        } catch (error) {
          // As on a disk that is full. Whoever asked for the end gets it: a service that fails is started again.
          this.#log.error({ err: error }, 'the node did not stop cleanly')
        } finally {
          this.#eventLoop.stop()
          stopped.resolve()
        }
      }
    } catch (error) {
      await this.#close()
      await audit.close()
      this.#eventLoop.stop()
      throw error
    }
    return {
      mesh: () => this.#running(),
      http: () => this.#http,
      certificate: () => this.#certificate(),
      join: (ticket, name) => this.#exclusively(() => this.#join(ticket, name)),
      stop: () => this.#stop(),
      stopped: stopped.promise,
    }
  }

  #stop(): Promise<void> {
    // A join under way would hold up the stop for as long as the inviter takes.
    this.#ending.abort(new Error('the node stops'))
    this.#stopping ??= this.#exclusively(() => this.#closeAll())
    return this.#stopping
  }

  #deps(): MeshNodeDeps {
    if (!this.#audit || !this.#signIn) throw new Error('the node has not started')
    return {
      data: this.#data,
      identity: this.#identity,
      config: this.#config,
      log: this.#log,
      audit: this.#audit,
      signIn: this.#signIn,
      metrics: this.#metrics,
      http: () => this.#http,
      tlsFingerprint: () => this.#tls?.current().fingerprint ?? null,
      onRestored: () => {
        this.#exclusively(() => this.#move(async () => undefined)).catch((error: unknown) =>
          this.#log.error({ err: error }, 'the node could not be started anew after its restoration'),
        )
      },
      onFatal: (cause) => {
        this.#log.error(
          { err: cause },
          'the journal of leases cannot be written: ending, since promises must be durable',
        )
        process.exit(1)
      },
    }
  }

  #running(): MeshNode {
    if (!this.#node) throw new Error('the node is moving to another mesh')
    return this.#node
  }

  async #open(): Promise<void> {
    const founder = { name: this.#config.name ?? hostName(), log: this.#log }
    const mesh = await settleMesh(this.#data, this.#identity, founder)
    this.#node = await openMeshNode(this.#deps(), mesh)
    if (this.#config.gateway) await this.#openGateway(this.#node)
  }

  async #openGateway({ services }: MeshNode): Promise<void> {
    const { createGateway } = await import('../../gateway/server.ts')
    const { port, origins, tls: _tls, certFile: _certFile, keyFile: _keyFile, ...http } = this.#config.http
    const tls = await openGatewayTls(this.#config.http, {
      dataDir: this.#data.path,
      clock: systemClock,
      log: this.#log,
    })
    const config = {
      ...http,
      port: portOf(this.#http) ?? port,
      corsOrigins: origins,
      version: rookeryVersion(),
      ...(tls && { tls: tls.current() }),
    }
    const gateway = createGateway({ services, config, clock: systemClock, log: this.#log, metrics: this.#metrics })
    this.#gateway = gateway
    this.#tls = tls
    this.#http = await gateway.listen()
    if (tls) this.#stopRenewing = tls.watch((certificate) => gateway.useCertificate(certificate))
  }

  async #close(): Promise<void> {
    const [gateway, node] = [this.#gateway, this.#node]
    this.#gateway = undefined
    this.#node = undefined
    this.#stopRenewing()
    await gateway?.close()
    await node?.stop()
  }

  #certificate(): CertificateView | null {
    const { fingerprint, validUntil } = this.#tls?.current() ?? {}
    return fingerprint === undefined || validUntil === undefined
      ? null
      : { fingerprint, validUntil: validUntil.toISOString() }
  }

  #exclusively<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#moving.then(work)
    this.#moving = done.catch(() => undefined)
    return done
  }

  #controlContext(): ControlContext | undefined {
    const node = this.#node
    if (!node) return undefined
    const { services, core } = node
    return {
      services,
      restoration: core.documents.restoration,
      storage: {
        view: () => storageView(this.#data, core),
        budget: () => budgetProblems(core.documents.info()),
      },
      self: this.#identity.signer.peer,
      config: { config: this.#config, sources: this.#sources },
      heldMails: () => this.#signIn?.heldMails() ?? [],
      metrics: this.#metrics,
      certificate: this.#certificate(),
      health: () => healthOf(node, { config: this.#config, eventLoop: this.#eventLoop.delay() }),
      mayJoin: () => this.#running().isEmpty(),
      join: (ticket, name) => this.#exclusively(() => this.#join(ticket, name)),
      leave: () => this.#exclusively(() => this.#leave()),
      shutDown: async ({ killSessions }) => {
        if (killSessions) await this.#running().killSessions()
        // The answer has to leave first.
        setImmediate(() => void this.#stop())
        return ok({ pid: process.pid })
      },
    }
  }

  async #join(ticket: string, name = this.#config.name): Promise<Joined> {
    if (!(await this.#running().isEmpty())) return err(domainError('mesh_not_empty'))
    const joined = await joinWithTicket(this.#data, this.#identity, {
      ticket,
      name: name ?? hostName(),
      log: this.#log,
      mayReplace: () => this.#running().isEmpty(),
      signal: this.#ending.signal,
    })
    if (joined.ok) await this.#move(async () => undefined)
    return joined
  }

  /** A node that has closed one mesh and cannot open the next has nothing to serve: it ends. */
  async #move(between: () => Promise<void>): Promise<void> {
    try {
      await this.#close()
      await between()
      await this.#open()
    } catch (error) {
      this.#log.error({ err: error }, 'the mesh could not be changed: ending; the next start opens what is there')
      setImmediate(() => void this.#stop())
      throw error
    }
  }

  /**
   * Members are told before we go. The key of a member that left never comes back, so what follows has a new one and
   * can join again.
   */
  async #leave(): Promise<Result<null>> {
    const left = await this.#running().services.mesh.leave()
    if (!left.ok) return left
    await this.#move(async () => {
      await this.#data.forgetMeshAndKeys()
      this.#data = await openDataDirectory(this.#data.path)
      this.#identity = identityOf(this.#data)
    })
    return left
  }

  async #backup(socket: Duplex): Promise<void> {
    const { store, mesh, self } = this.#running().core
    await serveBackup({ data: this.#data, store, mesh, peer: self }, socket)
  }

  async #attach({ kind, id }: Attached, socket: Duplex): Promise<void> {
    const { sessions, commands } = this.#running().services
    await serveAttach(kind === 'execution' ? commands : sessions, localActor(this.#identity.signer.peer), id, socket)
  }
}

/** A port chosen at the first start is kept while the process lives. */
const portOf = (http: string | null): number | undefined => (http === null ? undefined : Number(new URL(http).port))
