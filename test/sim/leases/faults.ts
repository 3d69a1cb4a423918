import { breakDisk, changeRate, crash, restart, rollBack, stepClock, suspend, wipe } from './machine-faults.ts'
import { cutOneWay, partition, removeMember, resetChannels } from './mesh-faults.ts'
import type { Prng } from '../ports/prng.ts'
import { forceVoters, reconfigure } from './reconfigure.ts'
import type { FaultKind } from './swarm.ts'
import type { World } from './world.ts'

const INJECT: Readonly<Record<FaultKind, (world: World, prng: Prng) => void>> = {
  crash,
  restart,
  suspend,
  breakDisk,
  stepClock,
  changeRate,
  wipe,
  rollBack,
  partition,
  cutOneWay,
  resetChannels,
  removeMember,
  reconfigure,
  forceVoters,
}

/** Injects each kind of fault again and again, until the world begins to end. */
export function startFaults(world: World): void {
  for (const [kind, meanMs] of Object.entries(world.plan.faults) as [FaultKind, number][]) {
    if (meanMs === 0) continue
    const prng = world.prng.fork(`fault ${kind}`)
    const next = (): void => {
      world.time.after(prng.pause(meanMs), () => {
        if (world.isEnding) return
        INJECT[kind](world, prng)
        next()
      })
    }
    next()
  }
}
