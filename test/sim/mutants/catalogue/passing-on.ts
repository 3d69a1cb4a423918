import { mutantsOf } from '../mutant.ts'

const HEARING = 'node/services/sync/hearing.ts'
const PASSING_ON = 'node/services/sync/passing-on.ts'

/** How news gets around a connection that is dead in one direction. */
export const passingOnMutants = [
  ...mutantsOf({ file: PASSING_ON, rule: 'M17', scenario: 'deaf-in-one-direction', quick: true }, [
    {
      name: 'nobody-passes-on-in-a-small-mesh',
      from: 'peer !== from && (this.#deps.isNeeded() || this.#deps.lacks(peer, from))',
      to: 'peer !== from && this.#deps.isNeeded()',
      why: 'news from a member that is not heard comes with the next round only, half a minute later',
    },
  ]),
  ...mutantsOf({ file: HEARING, rule: 'M17', scenario: 'deaf-in-one-direction', quick: true }, [
    {
      name: 'an-open-connection-counts-as-heard',
      from: 'ms > sinceMs ? [peer] : []',
      to: 'ms > sinceMs - Infinity ? [peer] : []',
      why: 'the others are never told that one direction is dead, so none of them passes anything on',
    },
    {
      name: 'what-was-missed-is-not-asked-for',
      from: 'if (before.some((peer) => !this.#heard.includes(peer))) onSilence(this.#heard)',
      to: 'void [before, onSilence]',
      why: 'what was said before the silence was noticed comes with the next round only',
    },
  ]),
]
