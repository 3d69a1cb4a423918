import type { Simulator } from '../simulator.ts'
import { emptyCounts, MUSTS } from './counts.ts'
import { drawPlan } from './plan.ts'
import { World } from './world.ts'

export const simulator: Simulator = {
  module: import.meta.url,
  command: 'npm run sim -- --replication',
  says: 'Runs feeds, synchronisation and membership',
  shapes: {},
  emptyCounts,
  musts: MUSTS,
  create: (seed) => new World(drawPlan(seed)),
}
