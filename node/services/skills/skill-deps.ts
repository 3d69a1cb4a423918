import type { Actor } from '../../../crdt/actor.ts'
import type { PeerId } from '../../../crdt/ids.ts'
import type { Audit } from '../../ports/audit.ts'
import type { Clock } from '../../ports/clock.ts'
import type { Log } from '../../ports/log.ts'
import type { SkillFiles } from '../../ports/skill-files.ts'
import type { EventHub } from '../event-hub.ts'
import type { MachineService } from '../machines/machine-service.ts'
import type { ProjectService } from '../projects/project-service.ts'
import type { Rpc } from '../rpc/rpc.ts'

export type SkillAccess = 'read' | 'write'

export type SkillServiceDeps = {
  readonly self: PeerId
  readonly machines: Pick<MachineService, 'nodeOf'>
  readonly projects: Pick<ProjectService, 'all'>
  readonly files: SkillFiles
  /** The home directory of the person whose node this is. */
  readonly home: string
  readonly rpc: Rpc
  /** Members that are told when skills change here: those connected now. */
  readonly connected: () => readonly PeerId[]
  /** This machine's own policy, which has the last word: why it refuses, or undefined. */
  readonly refusal: (request: { access: SkillAccess; actor: Actor; from: PeerId }) => string | undefined
  readonly audit: Pick<Audit, 'record'>
  readonly events: EventHub
  readonly clock: Clock
  readonly log: Log
}
