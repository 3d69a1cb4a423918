import type { AccountService } from './account-service.ts'
import type { EventHub } from './event-hub.ts'
import type { LockService } from './lock-service.ts'
import type { MachineService } from './machine-service.ts'
import type { MeshService } from './mesh-service.ts'
import type { ProjectService } from './project-service.ts'
import type { SessionService } from './session-service.ts'
import type { TaskService } from './task-service.ts'

/** The one API that every surface (HTTP dialects, WebSocket, CLI, page) calls. */
export type Services = {
  readonly accounts: AccountService
  readonly machines: MachineService
  readonly projects: ProjectService
  readonly tasks: TaskService
  readonly locks: LockService
  readonly sessions: SessionService
  readonly mesh: MeshService
  readonly events: EventHub
}
