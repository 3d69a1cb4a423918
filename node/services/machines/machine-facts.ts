import type * as Y from 'yjs'
import { z } from 'zod'
import { readMachineFacts, writeMachineFacts } from '../../../crdt/machine-document.ts'
import type { MachineFacts } from '../../../crdt/machine.ts'

/*
 * The part of `machine/<peer>` that only this service uses: when the machine came to the mesh, and what people changed
 * about it from afar.
 */
const PROFILE = 'profile'

export const MACHINE_NAME_CHARS_MAX = 64

/** What a person may set on a machine; the rest it finds out by itself. */
export const MachineChange = z.strictObject({
  name: z.string().trim().min(1).max(MACHINE_NAME_CHARS_MAX).optional(),
  maxSessions: z.int().min(1).max(1000).optional(),
  capabilities: z.array(z.string().trim().min(1).max(64)).max(64).optional(),
})
export type MachineChange = z.infer<typeof MachineChange>

/** A change holds for as long as the machine's own configuration says what it said then. */
const Override = z.object({ value: z.unknown(), configured: z.string() })

type Changeable = keyof MachineChange
const CHANGEABLE = ['name', 'maxSessions', 'capabilities'] as const satisfies readonly Changeable[]

/** The configured facts with what people have changed since. */
export function effectiveFacts(state: Y.Doc, configured: MachineFacts): MachineFacts {
  const profile = state.getMap(PROFILE)
  const changes = CHANGEABLE.flatMap((field) => {
    const override = Override.safeParse(profile.get(field)).data
    const isInForce = override?.configured === JSON.stringify(configured[field])
    return isInForce ? [[field, override?.value] as const] : []
  })
  const { name, maxSessions, capabilities } = MachineChange.safeParse(Object.fromEntries(changes)).data ?? {}
  return {
    ...configured,
    name: name ?? configured.name,
    maxSessions: maxSessions ?? configured.maxSessions,
    capabilities: capabilities ?? configured.capabilities,
  }
}

/** Publishes the machine's facts where they differ from what stands there. */
export function publishFacts(state: Y.Doc, configured: MachineFacts, now: string): void {
  const profile = state.getMap(PROFILE)
  if (typeof profile.get('createdAt') !== 'string') profile.set('createdAt', now)
  writeMachineFacts(state, effectiveFacts(state, configured))
}

export function changeFacts(state: Y.Doc, configured: MachineFacts, change: MachineChange): MachineFacts {
  const profile = state.getMap(PROFILE)
  for (const field of CHANGEABLE)
    if (change[field] !== undefined)
      profile.set(field, { value: change[field], configured: JSON.stringify(configured[field]) })
  const facts = effectiveFacts(state, configured)
  writeMachineFacts(state, facts)
  return facts
}

/** What the machine has stated about itself, or just its name while that has not arrived. */
export function statedFacts(state: Y.Doc, memberName: string): MachineFacts & { readonly createdAt: string } {
  const createdAt = z.iso.datetime().safeParse(state.getMap(PROFILE).get('createdAt')).data ?? UNKNOWN_SINCE
  return { ...(readMachineFacts(state) ?? unknownFacts(memberName)), createdAt }
}

/** For a machine whose facts have not arrived here. */
export const UNKNOWN_SINCE = '1970-01-01T00:00:00.000Z'

export const unknownFacts = (name: string): MachineFacts => ({
  name,
  hostname: '',
  platform: 'unknown',
  arch: 'unknown',
  nodeVersion: '',
  rookeryVersion: '',
  claudeVersion: null,
  claudePath: null,
  agents: {},
  capabilities: [],
  maxSessions: 1,
  alwaysOn: false,
})
