import type { Ability } from '../../crdt/actor.ts'
import type { DomainEvent } from '../../crdt/domain-event.ts'
import type { DomainError } from '../../crdt/errors.ts'

/** What the socket server needs from the dialect that it speaks. */
export type PusherWords = {
  translate(
    event: DomainEvent,
    nowMs: number,
  ): {
    readonly topics: readonly string[]
    readonly ability: Ability
    readonly name: string
    readonly data: object
  }
  problem(error: DomainError): { readonly code: string; readonly status: number }
}
