import { hostname, userInfo } from 'node:os'
import { parseWhole } from '../command.ts'

export type InstanceOption = { readonly instance: string }
export const PROJECT_FLAG = [
  '--project <name or id>',
  'default: the project that contains the current directory',
] as const
export const instanceFlag = [
  '--instance <id>',
  'name of the agent instance that acts',
  // Within a session its own id: a node that restarts knows by it whether the agent is still there.
  process.env.ROOKERY_INSTANCE ?? `${userInfo().username}@${hostname()}`,
] as const

export type ProofOption = { readonly fencingToken?: number }
export const PROOF_FLAG = [
  '--fencing-token <number>',
  'of the claim, when it was made through another token',
  parseWhole,
] as const
export const proof = (options: ProofOption): object =>
  options.fencingToken === undefined ? {} : { fencing_token: options.fencingToken }
