import { z } from 'zod'
import { invalidField } from '../../../crdt/errors.ts'
import type { DomainError } from '../../../crdt/errors.ts'
import { err } from '../../../crdt/result.ts'
import type { PageRequest } from '../../../crdt/page.ts'

/** Pages larger than this cost the node more than the client gains. */
export const PER_PAGE_MAX = 100

export const pageFields = (perPage: number) => ({
  page: z.coerce.number().int().min(1).max(1_000_000).default(1),
  per_page: z.coerce.number().int().min(1).max(PER_PAGE_MAX).default(perPage),
})

export const pageOf = (query: { page: number; per_page: number }): PageRequest => ({
  page: query.page,
  perPage: query.per_page,
})

export const instanceId = z.string().trim().min(1).max(128)

/** How what another machine is asked to do may fail, whatever it is. */
export const ACROSS_MESH = ['machine_offline', 'machine_refused', 'cancelled'] as const

/** The same of what takes a node there: a machine that has only an agent cannot do it. */
export const BY_NODE = [...ACROSS_MESH, 'machine_unsupported'] as const

export const invalid = (field: string, problem: string): { readonly ok: false; readonly error: DomainError } =>
  err(invalidField(field, problem))
