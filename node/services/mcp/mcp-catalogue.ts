import { domainError, invalidField } from '../../../crdt/errors.ts'
import type { McpChange, McpInput, McpProgram } from '../../../crdt/mcp.ts'
import { err, ok, type Result } from '../../../crdt/result.ts'
import { uuidFromRandom } from '../../../crdt/uuid.ts'
import type { McpReach } from '../../ports/mcp-connector.ts'
import {
  MCP_APPROVALS_MAX,
  MCP_DEFINITIONS_MAX,
  type McpDefinition,
  type McpFile,
} from '../../ports/mcp-definitions.ts'
import type { FoundMcp } from '../../ports/mcp-discovery.ts'
import type { McpDeps } from './mcp-deps.ts'
import { changedProgram, programProblem } from './program-policy.ts'

/** A server that this machine knows how to run. */
export type McpEntry = {
  readonly id: string
  readonly name: string
  readonly displayName: string
  readonly autoStart: boolean
  readonly program: McpProgram
  readonly reach: McpReach
  /** The file it was found in; null for one of our own. */
  readonly source: string | null
  readonly fingerprint: string
  readonly isApproved: boolean
  /** Why it cannot run as it stands. */
  readonly problem: string | null
}

export type Catalogue = {
  /** Our own, then what agents have in their files, by name. */
  all(): Promise<Result<readonly McpEntry[]>>
  /** Our own alone: no file of an agent is looked at. */
  own(): Promise<Result<readonly McpEntry[]>>
  /** @errors mcp_server_not_found */
  find(name: string): Promise<Result<McpEntry>>
  /** `isTrusted`: whoever defines it may approve it, here, and has done so with this. */
  add(input: McpInput, isTrusted: boolean): Promise<Result<McpEntry>>
  update(name: string, change: McpChange, isTrusted: boolean): Promise<Result<McpEntry>>
  remove(name: string): Promise<Result<McpEntry>>
  approve(name: string, fingerprint: string | undefined): Promise<Result<McpEntry>>
}

type Deps = Pick<McpDeps, 'definitions' | 'discovery' | 'folders' | 'random' | 'log'>

export function createCatalogue(deps: Deps): Catalogue {
  return new DefinitionCatalogue(deps)
}

class DefinitionCatalogue implements Catalogue {
  readonly #deps: Deps
  #file: McpFile | undefined
  /** Changes, one at a time. */
  #queue: Promise<unknown> = Promise.resolve()

  constructor(deps: Deps) {
    this.#deps = deps
  }

  async all(): Promise<Result<readonly McpEntry[]>> {
    const file = await this.#read()
    if (!file.ok) return file
    const own = await Promise.all(file.value.definitions.map((one) => this.#own(one, file.value)))
    return ok([...own, ...(await this.#found(own, file.value))].toSorted((a, b) => (a.name < b.name ? -1 : 1)))
  }

  async own(): Promise<Result<readonly McpEntry[]>> {
    const file = await this.#read()
    if (!file.ok) return file
    return ok(await Promise.all(file.value.definitions.map((one) => this.#own(one, file.value))))
  }

  async find(name: string): Promise<Result<McpEntry>> {
    const all = await this.all()
    if (!all.ok) return all
    const entry = all.value.find((one) => one.name === name)
    return entry ? ok(entry) : err(domainError('mcp_server_not_found'))
  }

  add(input: McpInput, isTrusted: boolean): Promise<Result<McpEntry>> {
    return this.#change(async (file) => {
      if (file.definitions.some(({ name }) => name === input.name)) return err(domainError('mcp_server_exists'))
      if (file.definitions.length >= MCP_DEFINITIONS_MAX)
        return err(
          domainError('limit_reached', { message: `A machine keeps ${MCP_DEFINITIONS_MAX} definitions at most.` }),
        )
      const program = changedProgram(undefined, input)
      if (!program.ok) return program
      const definition: McpDefinition = {
        id: uuidFromRandom(this.#deps.random.bytes(16)),
        name: input.name,
        displayName: input.displayName ?? input.name,
        autoStart: input.autoStart ?? false,
        program: program.value,
        isLocal: isTrusted,
      }
      const definitions = [...file.definitions, definition]
      return ok(await this.#withApproval({ ...file, definitions }, definition, isTrusted))
    }, input.name)
  }

  update(name: string, change: McpChange, isTrusted: boolean): Promise<Result<McpEntry>> {
    return this.#change(async (file) => {
      const before = await this.#ownNamed(name, file)
      if (!before.ok) return before
      const { displayName = before.value.displayName, autoStart = before.value.autoStart } = change
      const program = changedProgram(before.value.program, change)
      if (!program.ok) return program
      const isSame = JSON.stringify(program.value) === JSON.stringify(before.value.program)
      const isLocal = isSame ? before.value.isLocal : isTrusted
      const definition: McpDefinition = { ...before.value, displayName, autoStart, program: program.value, isLocal }
      const definitions = file.definitions.map((one) => (one.name === name ? definition : one))
      return ok(await this.#withApproval({ ...file, definitions }, definition, isTrusted && !isSame))
    }, name)
  }

  async remove(name: string): Promise<Result<McpEntry>> {
    const entry = await this.find(name)
    if (!entry.ok) return entry
    const removed = await this.#write(async (file) => {
      const own = await this.#ownNamed(name, file)
      if (!own.ok) return own
      const { fingerprint } = await this.#own(own.value, file)
      const definitions = file.definitions.filter((one) => one.name !== name)
      return ok({ ...file, definitions, approvals: file.approvals.filter((one) => one !== fingerprint) })
    })
    return removed.ok ? entry : removed
  }

  approve(name: string, fingerprint: string | undefined): Promise<Result<McpEntry>> {
    return this.#change(async (file) => {
      const entry = await this.find(name)
      if (!entry.ok) return entry
      if (fingerprint !== undefined && fingerprint !== entry.value.fingerprint)
        return err(domainError('mcp_not_approved', { message: 'The definition has changed since you looked at it.' }))
      if (entry.value.problem !== null) return err(invalidField('name', entry.value.problem))
      return ok(withFingerprint(file, entry.value.fingerprint))
    }, name)
  }

  /** Writes what comes out and answers with the entry of this name as it then is. */
  async #change(make: (file: McpFile) => Promise<Result<McpFile>>, name: string): Promise<Result<McpEntry>> {
    const changed = await this.#write(make)
    return changed.ok ? await this.find(name) : changed
  }

  #write(make: (file: McpFile) => Promise<Result<McpFile>>): Promise<Result<null>> {
    const write = async (): Promise<Result<null>> => {
      const file = await this.#read()
      if (!file.ok) return file
      const next = await make(file.value)
      if (!next.ok) return next
      try {
        await this.#deps.definitions.write(next.value)
      } catch (error) {
        this.#deps.log.error({ err: error }, 'the definitions of MCP servers could not be written')
        return err(domainError('storage_failed'))
      }
      this.#file = next.value
      return ok(null)
    }
    const written = this.#queue.then(write)
    this.#queue = written.catch(() => undefined)
    return written
  }

  async #read(): Promise<Result<McpFile>> {
    try {
      this.#file ??= await this.#deps.definitions.read()
      return ok(this.#file)
    } catch (error) {
      this.#deps.log.error({ err: error }, 'the definitions of MCP servers cannot be read')
      const message = error instanceof Error ? error.message : String(error)
      return err(domainError('storage_failed', { message }))
    }
  }

  async #ownNamed(name: string, file: McpFile): Promise<Result<McpDefinition>> {
    const own = file.definitions.find((one) => one.name === name)
    if (own) return ok(own)
    const entry = await this.find(name)
    if (!entry.ok) return entry
    const message = `${name} is defined in ${entry.value.source}: change it there, or add a server of your own.`
    return err(domainError('mcp_server_found', { message }))
  }

  async #withApproval(file: McpFile, { program }: McpDefinition, isApproved: boolean): Promise<McpFile> {
    return isApproved ? withFingerprint(file, await this.#deps.definitions.fingerprint(program)) : file
  }

  async #own(definition: McpDefinition, file: McpFile): Promise<McpEntry> {
    const { isLocal, ...rest } = definition
    const fingerprint = await this.#deps.definitions.fingerprint(definition.program)
    const isApproved = file.approvals.includes(fingerprint)
    return { ...rest, reach: isLocal ? 'local' : 'public', source: null, fingerprint, isApproved, problem: null }
  }

  async #found(own: readonly McpEntry[], file: McpFile): Promise<McpEntry[]> {
    const { discovery, folders, definitions, log } = this.#deps
    if (!discovery) return []
    let found: readonly FoundMcp[]
    try {
      found = await discovery.find(await folders())
    } catch (error) {
      log.warn({ err: error }, 'the files of agents could not be looked through')
      return []
    }
    const taken = new Set(own.map(({ name }) => name))
    // One definition in several files is one server.
    const seen = new Set(own.map(({ fingerprint }) => fingerprint))
    const entries: McpEntry[] = []
    for (const one of found) {
      const fingerprint = await definitions.fingerprint(one.program)
      if (seen.has(fingerprint)) continue
      seen.add(fingerprint)
      const name = freeName(one, taken)
      if (name === undefined) continue
      taken.add(name)
      entries.push({
        id: uuidFromRandom(
          Uint8Array.from({ length: 16 }, (_, i) => parseInt(fingerprint.slice(2 * i, 2 * i + 2), 16)),
        ),
        name,
        displayName: one.name,
        autoStart: false,
        program: one.program,
        reach: one.isOwn ? 'local' : 'public',
        source: one.file,
        fingerprint,
        isApproved: file.approvals.includes(fingerprint),
        problem: one.problem ?? problemOf(one.program),
      })
    }
    return entries
  }
}

const withFingerprint = (file: McpFile, fingerprint: string): McpFile => ({
  ...file,
  approvals: [...file.approvals.filter((one) => one !== fingerprint), fingerprint].slice(-MCP_APPROVALS_MAX),
})

function problemOf(program: McpProgram): string | null {
  const fields = programProblem(program)?.details?.fields
  return fields === undefined ? null : Object.values(fields).flat().join(' ')
}

/** Files of one name: the later ones go by their agent or folder, too. */
function freeName({ name, from }: FoundMcp, taken: ReadonlySet<string>): string | undefined {
  const candidates = [
    name,
    `${name}.${from}`.slice(0, 64),
    ...Array.from({ length: 8 }, (_, i) => `${name.slice(0, 60)}.${i + 2}`),
  ]
  return candidates.find((candidate) => !taken.has(candidate) && candidate !== 'all-tools')
}
