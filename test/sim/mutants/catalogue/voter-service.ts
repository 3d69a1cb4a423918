import { mutantsOf } from '../mutant.ts'

const LEASES = 'node/services/leases'

export const voterServiceMutants = [
  ...mutantsOf({ file: `${LEASES}/lease-voter-loop.ts`, rule: 'I9', scenario: 'disk-first' }, [
    {
      name: 'reply-before-fsync',
      from: 'if (decisions.some(({ mustSync }) => mustSync)) await journal.sync()\n    this.#answer(decisions)',
      to: 'this.#answer(decisions)\n    if (decisions.some(({ mustSync }) => mustSync)) await journal.sync()',
      why: 'a crash makes the voter forget what others rely on',
      seeds: 20,
      expects: ['I9', 'I1', 'I2'],
    },
    {
      name: 'votes-on-a-broken-disk',
      from: 'if (!this.#isStopped) await this.#process(batch)',
      to: 'await this.#process(batch)',
      why: 'a voter that cannot remember answers',
    },
    {
      name: 'disk-failure-unnoticed',
      from: 'this.#isStopped = true\n        this.#report(',
      to: 'void (',
      why: 'a voter that cannot remember answers',
    },
    {
      name: 'grants-never-settled',
      rule: 'L2.4.4',
      scenario: 'settled-answers',
      from: '(reply && voter.settle(reply) ? [{ sink, reply }] : [])',
      to: '(reply ? [{ sink, reply }] : [])',
      why: 'a grant of an incarnation that was given up leaves, and none is ever sent again',
      expects: ['L2.4.6'],
    },
    {
      name: 'hints-not-sent',
      rule: 'L2.5',
      scenario: 'waiting-for-a-holder',
      from: 'for (const { free } of decisions) for (const { node, lid } of free) hint(node, lid)',
      to: 'void hint',
      why: 'whoever waits learns of a release only by trying again',
    },
    {
      name: 'journal-never-compacted',
      rule: 'L2.4',
      scenario: 'journal-compaction',
      from: 'if (this.#records >= this.#compactAt) await this.#compact()',
      to: '',
      why: 'a journal that grows for ever',
    },
    {
      name: 'malformed-configuration-stops-the-voter',
      rule: 'L2.4.1',
      scenario: 'hostile-wire',
      from: 'if (!(error instanceof MalformedError)) throw error',
      to: 'throw error',
      why: 'one message takes a voter out of service',
    },
  ]),
  ...mutantsOf({ file: `${LEASES}/voter-server.ts`, rule: 'L2.4.1', scenario: 'hostile-wire' }, [
    {
      name: 'any-number-in-flight',
      from: 'while (slots.areTaken) await slots.freed()',
      to: '',
      why: 'one member fills the memory of a voter whose disk is slow',
    },
    {
      name: 'any-rate',
      from: 'for (let pause = this.#pause(peer); pause; pause = this.#pause(peer)) await pause',
      to: '',
      why: 'one member keeps a voter from serving others',
    },
    {
      name: 'malformed-frames-unnoticed',
      from: "channel.abort(new Error('the lease channel failed', { cause: error }))\n      if (error",
      to: 'if (error',
      why: 'whoever sends garbage keeps its channel',
    },
  ]),
  ...mutantsOf({ file: `${LEASES}/lease-frames.ts`, rule: 'A-D1', scenario: 'hostile-wire', expects: ['A-D1'] }, [
    {
      name: 'unread-answers-pile-up',
      from: "if (queue.length >= OUTBOX_MAX) return channel.abort(new Error('the peer does not read'))",
      to: '',
      why: 'a member that does not read fills the memory of whoever answers it',
    },
  ]),
  ...mutantsOf({ file: `${LEASES}/lease-links.ts`, rule: 'A-D1', scenario: 'unreachable-voter', expects: ['A-D1'] }, [
    {
      name: 'unsent-requests-pile-up',
      from: 'if (waiting.length < OUTBOX_MAX) waiting.push(message)',
      to: 'waiting.push(message)',
      why: 'a voter that does not answer fills the memory of whoever asks it',
    },
    {
      name: 'voter-that-never-opens',
      from: "const cancelTimeout = clock.after(openTimeoutMs, () => timeout.abort(new Error('the voter did not answer in time')))",
      to: 'const cancelTimeout = () => void [clock, openTimeoutMs]',
      why: 'a voter that was hung up for a while is never reached again',
    },
    {
      name: 'link-for-ever',
      from: '.finally(() => links.delete(peer))',
      to: '',
      why: 'after one broken connection a voter is never reached again',
    },
    {
      name: 'sends-after-closing',
      from: '      if (isClosed) return\n',
      to: '',
      why: 'a node that has closed opens channels that nobody closes',
    },
  ]),
  ...mutantsOf({ file: `${LEASES}/lease-voter.ts`, rule: 'L2.11', scenario: 'lost-voter-journal' }, [
    {
      name: 'lost-journal-unnoticed',
      from: 'if (named === undefined || named === incarnation) return undefined',
      to: 'if (named !== incarnation) return undefined',
      why: 'nobody learns that a vote is missing',
    },
    {
      name: 'lost-journal-keeps-incarnation',
      from: 'const inc = createVoterIncarnation(random)\n',
      to: "const inc = '11'.repeat(16)\n",
      why: 'a voter that has forgotten its promises votes on',
      scenario: 'same-incarnation',
    },
    {
      name: 'fresh-incarnation-each-start',
      from: 'known ?? (await renewVoterIncarnation(journal, random))',
      to: 'await renewVoterIncarnation(journal, random)',
      why: 'every restart costs the vote',
      scenario: 'restarted-voter',
    },
    {
      name: 'incarnation-not-synced',
      from: "journal.append(encodeRecord({ t: 'init', v: 1, inc }))\n  await journal.sync()",
      to: "journal.append(encodeRecord({ t: 'init', v: 1, inc }))",
      why: 'a set names an incarnation that a crash forgets',
      scenario: 'restarted-voter',
    },
    {
      name: 'first-epoch-without-asking',
      rule: 'L2.7',
      scenario: 'late-voter',
      from: "if (epoch?.origin.is === 'founded' && voter.needs(epoch) === 'nothing') await voter.adopt(epoch, [])",
      to: 'if (epoch && voter.needs(epoch)) await voter.adopt(epoch, [])',
      why: 'a new voter grants without knowing what was promised',
      expects: ['I1', 'L2.7'],
    },
  ]),
  ...mutantsOf({ file: `${LEASES}/lease-voter.ts`, rule: 'L2.4.1', scenario: 'membership' }, [
    {
      name: 'membership-not-asked',
      from: 'isMember: (peer) => membership().members.has(peer),',
      to: 'isMember: () => true,',
      why: 'whoever was removed goes on taking leases',
    },
    {
      name: 'right-not-asked',
      rule: 'M5',
      from: "isAdmin: (peer) => hasCapability(membership(), peer, 'admin'),",
      to: 'isAdmin: () => hasCapability !== undefined,',
      why: 'any member makes itself the only voter',
    },
  ]),
  ...mutantsOf({ file: `${LEASES}/lease-voter-loop.ts`, rule: 'L2.4', scenario: 'voter-clock' }, [
    {
      name: 'voter-by-wall-clock',
      from: 'const nowMs = clock.monoMs()',
      to: 'const nowMs = clock.wallMs()',
      why: 'whoever sets a clock ends promises, or keeps them for ever',
      expects: ['I1', 'I6', 'I10'],
    },
  ]),
]
