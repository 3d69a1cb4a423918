import { z } from 'zod'
import { PeerId } from './ids.ts'

/**
 * On whose behalf something is done. Asserted by the gateway (or CLI) that authenticated it: users have no keys, so a
 * gateway is trusted for its users; the machine that executes checks its own policy again.
 */
export const Actor = z.strictObject({
  /** `local`: whoever may open the node's 0600 control socket. */
  kind: z.enum(['user', 'machine', 'local']),
  /** User id, machine id, or `local`. */
  id: z.string().min(1).max(128),
  /** Claims and locks are bound to the token that took them; `local:<peer id>` for the control socket. */
  tokenId: z.string().min(1).max(128),
  /** What the token may do; `*` is everything, empty is nothing. */
  abilities: z.array(z.string().min(1).max(64)).max(64),
  /** The node that authenticated the actor. */
  gateway: PeerId,
})
export type Actor = z.infer<typeof Actor>

/** Every ability a token can carry beside `*`. A route names one of them (or `public`) as its policy. */
export const ABILITIES = [
  'user:read',
  'user:admin',
  'token:manage',
  'machine:read',
  'machine:write',
  'machine:admin',
  'session:read',
  'session:write',
  'project:read',
  'project:write',
  'task:read',
  'task:write',
  'task:claim',
  'lock:read',
  'lock:write',
  'lock:admin',
  'context:read',
  'context:write',
  'command:read',
  'command:write',
  'command:run',
  'mcp:read',
  'mcp:write',
  'mcp:execute',
  'mcp:admin',
  'skill:read',
  'skill:write',
] as const
export type Ability = (typeof ABILITIES)[number]

/** An empty ability list allows nothing. */
export const can = (actor: Actor, ability: Ability): boolean =>
  actor.abilities.includes('*') || actor.abilities.includes(ability)

/** True when every one of `wanted` is already held: what is issued is never wider than the issuer's own. */
export const coversAbilities = (held: readonly string[], wanted: readonly string[]): boolean =>
  held.includes('*') || wanted.every((ability) => held.includes(ability))
