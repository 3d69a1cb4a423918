import { z } from 'zod'

/** libp2p peer id of an Ed25519 key (base58btc identity multihash). The node's one identity. */
export const PeerId = z
  .string()
  .regex(/^12D3KooW[1-9A-HJ-NP-Za-km-z]{44}$/, 'must be an Ed25519 peer id')
  .brand<'PeerId'>()
export type PeerId = z.infer<typeof PeerId>

/** Lower-case hex SHA-256: the hash of a mesh's genesis record. */
export const MeshId = z
  .string()
  .regex(/^[0-9a-f]{64}$/, 'must be 64 hex digits')
  .brand<'MeshId'>()
export type MeshId = z.infer<typeof MeshId>

const uuidPattern = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/
const uuid = () => z.string().regex(uuidPattern, 'must be a UUID')

export const MachineId = uuid().brand<'MachineId'>()
export type MachineId = z.infer<typeof MachineId>
/** Of a machine without a node. The ids of members are hashes (version 5) and can never be taken for one. */
export const BridgedMachineId = MachineId.refine((id) => id[14] !== '5', 'must not be the id of a member')
export const ProjectId = uuid().brand<'ProjectId'>()
export type ProjectId = z.infer<typeof ProjectId>
export const TaskId = uuid().brand<'TaskId'>()
export type TaskId = z.infer<typeof TaskId>
export const SessionId = uuid().brand<'SessionId'>()
export type SessionId = z.infer<typeof SessionId>
export const CommandId = uuid().brand<'CommandId'>()
export type CommandId = z.infer<typeof CommandId>
/** What runs a command is a session host, which knows it by this id. */
export const ExecutionId = uuid().brand<'SessionId'>()
export type ExecutionId = z.infer<typeof ExecutionId>
export const UserId = uuid().brand<'UserId'>()
export type UserId = z.infer<typeof UserId>
export const ChunkId = uuid().brand<'ChunkId'>()
export type ChunkId = z.infer<typeof ChunkId>
export const TokenId = uuid().brand<'TokenId'>()
export type TokenId = z.infer<typeof TokenId>

/** Name an agent instance goes by; chosen by its caller, public, proves nothing. */
export const InstanceId = z.string().min(1).max(128).brand<'InstanceId'>()
export type InstanceId = z.infer<typeof InstanceId>

/**
 * Names of the replicated documents:
 * `mesh`, `accounts`, `machine/<peer>`, `project/<uuid>`, `context/<uuid>/<peer>/<segment>`, `live/<peer>/<generation>`.
 */
export const DocId = z
  .string()
  .regex(
    /^(mesh|accounts|machine\/12D3KooW[1-9A-HJ-NP-Za-km-z]{44}|project\/[0-9a-f-]{36}|context\/[0-9a-f-]{36}\/12D3KooW[1-9A-HJ-NP-Za-km-z]{44}\/[0-9]{1,6}|live\/12D3KooW[1-9A-HJ-NP-Za-km-z]{44}\/[0-9]{1,15})$/,
    'must be a document id',
  )
  .brand<'DocId'>()
export type DocId = z.infer<typeof DocId>

export const meshDoc = 'mesh' as DocId
export const accountsDoc = 'accounts' as DocId
export const machineDoc = (peer: PeerId): DocId => `machine/${peer}` as DocId
export const projectDoc = (project: ProjectId): DocId => `project/${project}` as DocId
export const contextDoc = (project: ProjectId, peer: PeerId, segment: number): DocId =>
  `context/${project}/${peer}/${segment}` as DocId
export const liveDoc = (peer: PeerId, generation: number): DocId => `live/${peer}/${generation}` as DocId

/** The project whose document it is, if it is one. */
export function projectOfDoc(doc: DocId): ProjectId | undefined {
  const [kind, id] = doc.split('/')
  return kind === 'project' ? ProjectId.safeParse(id).data : undefined
}

/** The only author allowed to write the document, or undefined when any member with the capability may. */
export function soleAuthor(doc: DocId): PeerId | undefined {
  const [kind, first, second] = doc.split('/')
  if (kind === 'context') return second as PeerId
  return kind === 'machine' || kind === 'live' ? (first as PeerId) : undefined
}

/** The parts of the name of a segment of a project's context; undefined for any other document. */
export function contextPlace(
  doc: DocId,
): { readonly project: ProjectId; readonly author: PeerId; readonly segment: number } | undefined {
  const [kind, project, author, segment] = doc.split('/')
  return kind === 'context'
    ? { project: project as ProjectId, author: author as PeerId, segment: Number(segment) }
    : undefined
}

/** Live documents are kept in memory only: they die with their author's process. */
export const isVolatile = (doc: DocId): boolean => doc.startsWith('live/')
