import { existsSync } from 'node:fs'
import { stripTypeScriptTypes } from 'node:module'
import { availableParallelism } from 'node:os'
import { describe, expect, it } from 'vitest'
import { catalogues, mutants } from './catalogue.ts'
import { mutated, ROOT } from './plant.ts'
import { Findings } from './scenario.ts'
import { scenarios } from './scenarios.ts'
import { isCaught, runTrial } from './trial.ts'
import { judgeAll, survival } from './verdict.ts'

const names = mutants.map(({ name }) => name)

describe('the mutants', () => {
  it.each(mutants)('$name replaces text that is there exactly once, and what comes out can be read', (mutant) => {
    expect(existsSync(new URL(mutant.file, ROOT))).toBe(true)
    expect(() => stripTypeScriptTypes(mutated(mutant))).not.toThrow()
  })

  it('have names of their own, and something that is to catch them', () => {
    expect(names).toEqual([...new Set(names)])
    const idle = mutants.filter(({ scenario, seeds }) => scenario === undefined && seeds === undefined)
    expect(idle).toEqual([])
  })

  it('use scenarios that exist, and all of them', () => {
    const used = new Set(mutants.flatMap(({ scenario }) => scenario ?? []))
    expect([...used].toSorted()).toEqual(scenarios.map(({ id }) => id).toSorted())
  })
})

describe('with all guards in place', () => {
  it.each(scenarios)('$says ($id)', async ({ run }) => {
    const findings = new Findings()
    await run(findings)
    expect(findings.violations).toEqual([])
  })
})

describe('without one of them', () => {
  it.each(Object.entries(catalogues))(
    'of %s that is noticed, for the reason that was foreseen',
    async (_, of) => {
      // Every fourth of the quick ones: all of them are `npm run sim -- --mutants --quick`.
      const quick = of.filter((mutant) => mutant.quick).filter((_, i) => i % 4 === 0)
      const verdicts = await judgeAll(quick, { jobs: availableParallelism(), withSeeds: false })
      const survivors = verdicts.filter(({ isKilled }) => !isKilled)
      expect(survivors.map((verdict) => [verdict.mutant.name, ...survival(verdict)])).toEqual([])
      expect(quick.length).toBeGreaterThan(0)
    },
    600_000,
  )

  it('what breaks in another way is no catch, and neither is what never loads the mutant', async () => {
    const [mutant] = mutants
    const crashing = await runTrial({ ...mutant!, name: 'none of these' }, mutant!.scenario!)
    expect([crashing.crash !== null, isCaught(mutant!, crashing)]).toEqual([true, false])
    const trial = { by: 'x', seed: null, crash: null }
    const found = { ...trial, isPlanted: true, violations: [`[${mutant!.expects[0]}] x`] }
    expect(isCaught(mutant!, found)).toBe(true)
    expect(isCaught(mutant!, { ...found, isPlanted: false })).toBe(false)
    expect(isCaught(mutant!, { ...found, violations: ['[X9] something else'] })).toBe(false)
  })
})
