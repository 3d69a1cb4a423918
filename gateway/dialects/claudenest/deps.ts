import type { Services } from '../../../node/services/services.ts'
import { routesFor } from '../../http/dialect.ts'
import type { TicketBook } from '../../ws/tickets.ts'

/** What the ClaudeNest routes work with. */
export type ClaudenestDeps = {
  readonly services: Services
  readonly tickets: TicketBook
  /** Shown by the health check. */
  readonly version: string
  /** Browsers come over TLS: cookies are for that only. */
  readonly isSecure: boolean
}

export const { route, publicRoute } = routesFor<ClaudenestDeps>()
