import { z } from 'zod'

/**
 * What a member may do, deny by default.
 * `admin`: change capabilities, remove members; `admit`: invite; `gateway`: serve users; `control`: ask other machines
 * to start sessions and commands; `run`: accept such requests (subject to the machine's own policy); `vote`: eligible
 * as a lease voter; `store`: keep and write the mesh's documents.
 */
export const CAPABILITIES = ['admin', 'admit', 'gateway', 'control', 'run', 'vote', 'store'] as const
export const Capability = z.enum(CAPABILITIES)
export type Capability = z.infer<typeof Capability>

/** What an invitation grants unless told otherwise; `admin`, `admit` and `vote` are always explicit. */
export const DEFAULT_CAPABILITIES = ['gateway', 'control', 'run', 'store'] as const satisfies readonly Capability[]
