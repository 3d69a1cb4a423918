import { FORCED_EPOCHS } from '../../../../protocols/lease/epochs.ts'

/**
 * A voter set installed by force starts a line of epochs of its own. Voters of the line before that are cut off may go
 * on for a while: between two lines nothing but the token protects (L2.7), so nothing else is asked for.
 */
export const lineOf = (token: number): number => Math.floor(token / 2 ** 32 / FORCED_EPOCHS)

export const areComparable = (a: number, b: number): boolean => lineOf(a) === lineOf(b)
