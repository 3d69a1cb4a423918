import { createHash, randomBytes } from 'node:crypto'
import type { Actor } from '../../crdt/actor.ts'
import type { Clock } from '../../node/ports/clock.ts'

/** Long enough to open a socket, too short to be worth stealing. */
export const TICKET_TTL_MS = 30_000

/** Tickets waiting to be used; the oldest is forgotten first. A ticket costs some 500 bytes. */
export const TICKETS_MAX = 10_000

export const TICKET_PREFIX = 'ws_'

export type TicketBook = {
  /** A single-use secret that subscribes to one session as `actor`, from the same origin as it was asked for. */
  issue(grant: { actor: Actor; sessionId: string; origin: string | null }): string
  /** Who the ticket stands for. Whatever the answer, the ticket is used up. */
  redeem(ticket: string, use: { sessionId: string; origin: string | null }): Actor | undefined
  /** Voids the tickets that were issued to a token. */
  revoke(tokenId: string): void
}

type Ticket = {
  readonly actor: Actor
  readonly sessionId: string
  readonly origin: string | null
  readonly endsAt: number
}

/** Tickets live in this gateway's memory, under their digests: they die with it. */
export function createTicketBook(clock: Clock): TicketBook {
  const tickets = new Map<string, Ticket>()
  const dropExpired = (): void => {
    for (const [digest, ticket] of tickets) {
      if (ticket.endsAt > clock.monoMs() && tickets.size < TICKETS_MAX) return
      tickets.delete(digest)
    }
  }
  return {
    issue(grant) {
      dropExpired()
      const ticket = `${TICKET_PREFIX}${randomBytes(32).toString('base64url')}`
      tickets.set(digestOf(ticket), { ...grant, endsAt: clock.monoMs() + TICKET_TTL_MS })
      return ticket
    },
    redeem(ticket, { sessionId, origin }) {
      const digest = digestOf(ticket)
      const found = tickets.get(digest)
      tickets.delete(digest)
      const fits = found?.sessionId === sessionId && found.origin === origin && found.endsAt > clock.monoMs()
      return fits ? found.actor : undefined
    },
    revoke(tokenId) {
      for (const [digest, { actor }] of tickets) if (actor.tokenId === tokenId) tickets.delete(digest)
    },
  }
}

const digestOf = (ticket: string): string => createHash('sha256').update(ticket).digest('base64')
