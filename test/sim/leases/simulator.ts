import type { Simulator } from '../simulator.ts'
import { emptyCounts, MUSTS } from './counts.ts'
import { drawPlan } from './swarm.ts'
import { World } from './world.ts'

export const simulator: Simulator = {
  module: import.meta.url,
  command: 'npm run sim --',
  says: 'Runs the lease protocol',
  shapes: {
    nodes: 'as many nodes in each mesh, instead of one to six',
    minutes: 'so long before the faults end, with agents that take their time',
  },
  emptyCounts,
  musts: MUSTS,
  create: (seed, shape) => new World(drawPlan(seed, shape)),
}
