import { mutantsOf, type Cut } from '../mutant.ts'

const file = 'node/services/locks/lock-provisional.ts'

/** Guards of how a claim begins, is prolonged and gives way. */
export const claimEndMutants: readonly Cut[] = [
  ...mutantsOf({ file, rule: 'P5', scenario: 'claim-begun' }, [
    {
      name: 'any-number-of-claims',
      from: "    if (this.#claims.size >= CLAIMS_MAX) return err(domainError('limit_reached', { message: TOO_MANY }))\n",
      to: '',
      why: 'each claim costs a durable entry and questions to the voters: an agent stops its node',
    },
    {
      name: 'begun-without-a-disk',
      from: '      if (written.ok) continue\n      await this.withdraw(claim)\n      return written\n',
      to: '      void written\n',
      why: 'a crash loses the claim and the news of its end',
    },
    {
      name: 'refused-and-announced',
      from: '      await this.withdraw(claim)\n      return written\n',
      to: '      return written\n',
      why: 'others give way to a claim that its holder was refused',
    },
    {
      name: 'held-before-it-counts',
      rule: 'P1',
      from: "return claim?.state === 'held' ? claim : undefined",
      to: 'return claim',
      why: 'what may still lose is prolonged and certified',
    },
    {
      name: 'held-and-never-asked-for',
      rule: 'L2.8',
      from: '    this.#deps.onHeld()\n',
      to: '',
      why: 'a lock stays provisional though the voters are there',
    },
    {
      name: 'loser-settles',
      expects: ['P3', 'P5'],
      from: "    if (claim.state === 'settling') return this.#own(this.withdraw(claim), claim)\n",
      to: '',
      why: 'two hold one path, or somebody is told to have lost what it never had',
    },
  ]),
  ...mutantsOf({ file, rule: 'D7', scenario: 'claim-prolonged' }, [
    {
      name: 'refused-and-prolonged',
      from: '        claim.terms = terms\n',
      to: '        void terms\n',
      why: 'a claim lasts longer than its holder was told, and longer than others see',
    },
    {
      name: 'refused-and-late',
      rule: 'P1',
      from: 'if (stands(claim)) this.#armExpiry(claim)',
      to: 'void stands',
      why: 'a claim that could not be prolonged ends up to a minute late',
    },
    {
      name: 'ended-and-timed',
      rule: 'P4',
      from: 'if (stands(claim)) this.#armExpiry(claim)',
      to: 'this.#armExpiry(claim)',
      why: 'what was given back meanwhile is ended again',
    },
  ]),
  ...mutantsOf({ file, rule: 'P5', scenario: 'claim-yields' }, [
    {
      name: 'gone-before-its-notice',
      from: '    const told = await notices.put(claim.terms.projectId, notice)\n    if (isFirst) await live.drop(entryIds(claim))\n',
      to: '    if (isFirst) await live.drop(entryIds(claim))\n    const told = await notices.put(claim.terms.projectId, notice)\n',
      why: 'a crash in between leaves no trace of a lock that others saw vanish',
    },
    {
      name: 'lost-and-shown',
      from: '    if (isFirst) await live.drop(entryIds(claim))\n',
      to: '',
      why: 'two are shown to hold one path',
    },
    {
      name: 'notice-or-lock',
      from: 'if (isFirst) await live.drop',
      to: 'if (isFirst && told.ok) await live.drop',
      why: 'on a full disk a claim that has lost goes on for others',
    },
    {
      name: 'gone-with-every-try',
      from: 'if (isFirst) await live.drop',
      to: 'await live.drop',
      why: 'a full disk is written to every five seconds for what is gone',
    },
    {
      name: 'told-once-or-never',
      from: 'clock.after(NOTICE_RETRY_MS, () => this.#own(this.#tellLoss(claim, conflict, false), claim))',
      to: 'void NOTICE_RETRY_MS',
      why: 'an agent is never told that it works without its lock',
    },
    {
      name: 'withdrawn-after-its-end',
      from: '    if (!stands(claim)) return await this.#deps.live.drop([])\n',
      to: '',
      why: 'the notice of a claim that gave way is taken out by the call that lost',
    },
  ]),
]
