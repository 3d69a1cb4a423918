import { join } from 'node:path'
import { z } from 'zod'
import { BridgedMachineId, PeerId, SessionId } from '../../../crdt/ids.ts'
import { PROMPT_CHARS_MAX, SESSION_MODES } from '../../../crdt/session.ts'
import { ProgramState, Size } from '../../../protocols/session-stream.ts'
import { readJson, writeJson } from '../../hosts/private-json.ts'
import type { BridgedSpec } from '../../ports/session-host.ts'

const text = z.string().max(4096)

const SpecFile = z.strictObject({
  v: z.literal(1),
  session: z.strictObject({
    id: SessionId,
    machine: BridgedMachineId,
    mode: z.enum(SESSION_MODES),
    agent: text,
    projectPath: text,
    prompt: z.string().max(PROMPT_CHARS_MAX).nullable(),
    size: Size,
    createdAt: text,
    createdBy: text,
    gateway: PeerId,
  }),
})

const StateFile = z.strictObject({
  v: z.literal(1),
  state: ProgramState,
  /** Output from here on has not been given to anybody: after a restart the session goes on at this byte. */
  nextSeq: z.int().min(0),
  /** The agent has not heard that the session is over. */
  owesEnd: z.boolean(),
})
export type BridgedState = Omit<z.infer<typeof StateFile>, 'v'>

const specPath = (directory: string): string => join(directory, 'spec.json')
const statePath = (directory: string): string => join(directory, 'state.json')

export const writeBridgedSpec = (directory: string, session: BridgedSpec): void =>
  writeJson(specPath(directory), { v: 1, session })

export const writeBridgedState = (directory: string, state: BridgedState): void =>
  writeJson(statePath(directory), { v: 1, ...state })

/** @throws when either file is missing or damaged. */
export function readBridged(directory: string): { spec: BridgedSpec; kept: BridgedState } {
  const { session } = SpecFile.parse(readJson(specPath(directory)))
  const { v: _, ...kept } = StateFile.parse(readJson(statePath(directory)))
  return { spec: session, kept }
}
