import type { Connection } from '@libp2p/interface'
import { every, type Cancel, type Clock } from '../ports/clock.ts'
import type { ConnectionTable } from './connection-table.ts'

const LOOK_EVERY_MS = 5000
/** Heartbeats come more often than this in all but the largest meshes: who sends them need not be asked. */
const SILENT_MS = 7500
/** A connection is dead when it stays silent for this long after it was asked. */
const ANSWER_MS = 15_000
/** Nobody serves it; that it is refused is the answer, of earlier releases too. */
const PING_PROTOCOL = '/rookery/ping/1.0.0'

/**
 * Cuts connections that have died without a word, half a minute after the last sign of life at the latest. Whatever comes
 * over a connection is such a sign; only on one that is silent is an answer asked for.
 */
export function keepAlive(table: ConnectionTable, clock: Clock): Cancel {
  const asked = new Set<Connection>()
  const ask = async (connection: Connection): Promise<void> => {
    asked.add(connection)
    const late = new AbortController()
    const cancel = clock.after(ANSWER_MS, () => late.abort(new Error('no sign of life')))
    try {
      const stream = await connection.newStream(PING_PROTOCOL, { signal: late.signal, runOnLimitedConnection: true })
      stream.abort(new Error('nothing to say'))
      table.heard(connection)
    } catch (error) {
      if (error instanceof Error && error.name === 'UnsupportedProtocolError') table.heard(connection)
      else connection.abort(error instanceof Error ? error : new Error(String(error)))
    } finally {
      cancel()
      asked.delete(connection)
    }
  }
  return every(clock, LOOK_EVERY_MS, () => {
    for (const connection of table.silentFor(SILENT_MS)) if (!asked.has(connection)) void ask(connection)
  })
}
