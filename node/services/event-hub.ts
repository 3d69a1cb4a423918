import type { DomainEvent } from '../../crdt/domain-event.ts'
import type { Log } from '../ports/log.ts'

export type EventHub = {
  publish(event: DomainEvent): void
  /** The listener is called synchronously, in order; what it throws is logged and hurts nobody else. */
  subscribe(listener: (event: DomainEvent) => void): () => void
}

export function createEventHub(log: Log): EventHub {
  const listeners = new Set<(event: DomainEvent) => void>()
  return {
    publish(event) {
      for (const listener of listeners) {
        try {
          listener(event)
        } catch (error) {
          log.error({ err: error, event: event.type }, 'an event listener failed')
        }
      }
    },
    subscribe(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
  }
}
