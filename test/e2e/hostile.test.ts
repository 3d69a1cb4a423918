import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { ATTACKS, CONVICTIONS } from '../hostile/attacks.ts'
import { createSiege, type Siege } from '../hostile/siege.ts'
import { eventually } from '../support/nodes.ts'
import { IS_LONG } from '../support/long.ts'

/** As in the script that measures it (`npm run test:hostile`). */
const GROWTH_MB_MAX = 32
const STRIKES = 3

/** Takes a minute of both cores. */

describe.runIf(IS_LONG)('honest nodes under siege', () => {
  let siege: Siege

  beforeAll(async () => {
    siege = await createSiege(1 + CONVICTIONS.length)
  }, 300_000)
  afterAll(() => siege.dispose())

  it('[A-C1] [A-C2] [A-D1] [A-L1] [A-M3] [A-M4] honest nodes lose nothing to a hostile member, stay small and name it', async () => {
    const [mallory] = siege.hostile
    const victims = [siege.alpha, siege.beta].map(({ peerId }) => peerId as NonNullable<typeof mallory>['peer'])
    const beforeMb = await siege.heldMb()
    const { titles } = await siege.work(1000)
    for (const { strike } of ATTACKS)
      for (let i = 0; i < STRIKES; i++)
        // Hung up on, which is the point.
        await Promise.all(victims.map((victim) => strike(mallory!, victim).catch(() => undefined)))
    titles.push(...(await siege.work(1000)).titles)
    const content = await siege.content()
    expect(titles.length).toBeGreaterThan(2)
    // The list shows a hundred; what is compared between the nodes is all of it.
    expect(titles.slice(0, 50).filter((title) => !content.includes(title))).toEqual([])
    expect((await siege.heldMb()) - beforeMb).toBeLessThan(GROWTH_MB_MAX)
    expect(await eventually(async () => (await siege.problemOf(mallory!.peer)) ?? undefined)).toMatch(/complaints/)
  })

  it.each(CONVICTIONS.map((conviction, i) => ({ ...conviction, i })))(
    '[M12] [$id] freezes the author of what proves misbehaviour and says why: $name',
    async ({ i, strike, reason }) => {
      const convict = siege.hostile[1 + i]!
      await strike(convict, siege.alpha.peerId as typeof convict.peer)
      const said = await eventually(async () => {
        const problem = await siege.problemOf(convict.peer)
        return problem?.includes('frozen') === true ? problem : undefined
      })
      expect(said).toContain(reason)
    },
  )
})
