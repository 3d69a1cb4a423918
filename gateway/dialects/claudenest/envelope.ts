import type { Page } from '../../../crdt/page.ts'
import type { Envelope, Meta, Wire } from '../../http/dialect.ts'

/** The success envelope; lists carry their page in `meta.pagination`. */
export function success(wire: Wire, status: number, meta: Meta): Envelope {
  const told = { timestamp: meta.timestamp, request_id: meta.requestId }
  const full = wire.page === undefined ? told : { ...told, pagination: paginationOf(wire.page) }
  return { status, body: { success: true, data: wire.data, meta: full } }
}

const paginationOf = ({ page, perPage, total }: Page<unknown>): object => ({
  current_page: page,
  last_page: Math.max(1, Math.ceil(total / perPage)),
  per_page: perPage,
  total,
})
