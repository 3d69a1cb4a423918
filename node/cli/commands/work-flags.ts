import { parseWhole } from '../command.ts'

/** Values of an option that may be repeated. */
export const collect = (value: string, all: string[]): string[] => [...all, value]

export type InstanceOption = { readonly instance?: string }
export const PROJECT_FLAG = [
  '--project <name or id>',
  'default: the project that contains the current directory',
] as const
export const instanceFlag = [
  '--instance <id>',
  'name of the agent instance that acts; default: within a session its id, else user@machine',
  // A node that restarts knows by a session's id whether the agent is still there.
  process.env.ROOKERY_INSTANCE,
] as const

export const actingAs = ({ instance }: InstanceOption): InstanceOption => (instance === undefined ? {} : { instance })

export type ProofOption = { readonly fencingToken?: number }
export const PROOF_FLAG = [
  '--fencing-token <number>',
  'of the claim, when it was made through another token',
  parseWhole,
] as const
export const proof = (options: ProofOption): object =>
  options.fencingToken === undefined ? {} : { fencing_token: options.fencingToken }
