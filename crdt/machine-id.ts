import { v5 } from 'uuid'
import type { MachineId, PeerId } from './ids.ts'

/** Our own namespace: another program that hashes peer ids does not get the same machine ids. */
const MACHINE_NAMESPACE = '6f1c7a52-3d0e-4c55-9b1e-2a4f0c8d7e61'

/** The id of a member's machine: the same on every node, without anybody having to tell. */
export const machineIdOf = (peer: PeerId): MachineId => v5(peer, MACHINE_NAMESPACE) as MachineId
