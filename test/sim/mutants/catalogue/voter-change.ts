import { mutantsOf } from '../mutant.ts'

const LEASES = 'node/services/leases'

export const voterChangeMutants = [
  ...mutantsOf({ file: `${LEASES}/fault-watch.ts`, rule: 'L2.12', scenario: 'shown-certificates' }, [
    {
      name: 'contradiction-not-written-down',
      from: 'if (!fault || sets.isConvicted(fault.voter, fault.inc)) return',
      to: 'if (!fault || sets !== undefined) return',
      why: 'a voter that promises the same to two goes on',
    },
    {
      name: 'contradiction-written-down-often',
      from: 'if (!fault || sets.isConvicted(fault.voter, fault.inc)) return',
      to: 'if (!fault) return',
      why: 'the log fills with proofs of the same',
    },
    {
      name: 'certificate-unverified',
      rule: 'L2.10',
      from: 'if (!epoch || !verifyCertificate(signatures, epoch.set, certificate)) return undefined',
      to: 'if (!epoch || !verifyCertificate) return undefined',
      why: 'anybody says who holds what',
      expects: ['L2.10', 'L2.12'],
    },
    {
      name: 'shown-grants-not-compared',
      from: 'for (const grant of certificate.grants) note(grant, certificate.req)',
      to: '',
      why: 'only the victim of a contradiction could see it',
    },
  ]),
  ...mutantsOf({ file: `${LEASES}/voter-sets.ts`, rule: 'L2.12', scenario: 'shown-certificates' }, [
    {
      name: 'nobody-is-convicted',
      from: 'isConvicted: (voter, inc) => convictions().has(`${voter}/${inc}`),',
      to: 'isConvicted: (voter, inc) => convictions().has(`${voter}/${inc}/`),',
      why: 'a voter that promises the same to two decides who holds it',
    },
    {
      name: 'log-read-once',
      rule: 'L2.7',
      scenario: 'voters-carried-over',
      from: '!isSameLog(chain.records, records)) {',
      to: 'chain.records === undefined) {',
      why: 'nobody takes notice of a change of voters',
    },
  ]),
  ...mutantsOf({ file: `${LEASES}/voter-change.ts`, rule: 'L2.7', scenario: 'who-changes-voters' }, [
    {
      name: 'offer-unsigned',
      from: 'if (space !== this.#deps.membership().mesh || !this.#deps.signatures.isSignedBy(node, message.m)) return',
      to: 'if (space !== this.#deps.membership().mesh) return',
      why: 'a set names an incarnation that its voter does not have',
    },
    {
      name: 'offer-of-another-mesh',
      from: 'if (space !== this.#deps.membership().mesh || !this.#deps.signatures.isSignedBy(node, message.m)) return',
      to: 'if (!this.#deps.signatures.isSignedBy(node, message.m) || !space) return',
      why: 'a set names an incarnation of another journal',
    },
    {
      name: 'voters-by-anybody',
      rule: 'M5',
      from: "if (!hasCapability(membership(), signatures.self, 'admin')) return err(notAdmin())",
      to: 'void [membership, signatures, notAdmin]',
      why: 'a member without the right learns of it from nobody, or installs voters by force',
    },
    {
      name: 'unreachable-voter-named',
      from: 'if (inc === undefined) silent.push(node)\n',
      to: "if (inc === undefined) voters.push({ node, inc: '0'.repeat(32) })\n",
      why: 'a set that may never have a quorum',
    },
    {
      name: 'epoch-ends-for-nothing',
      from: 'if (isSameSet(current.set, voters.value)) return ok(null)',
      to: '',
      why: 'every lease is carried over for nothing',
    },
    {
      name: 'voter-asked-for-twice',
      from: 'if (found.includes(peer)) return err(invalidField(',
      to: 'if (found.length > 99) return err(invalidField(',
      why: 'a configuration that nobody can read',
    },
    {
      name: 'no-voters-at-all',
      from: "if (names.length === 0) return err(invalidField('members', 'names nobody: a mesh needs at least one voter'))",
      to: '',
      why: 'a mesh that never grants again',
    },
    {
      name: 'force-in-the-next-epoch',
      rule: 'L2.7',
      scenario: 'predecessors-gone',
      from: 'this.#configOf(current, voters, forcedEpochAfter(current.epoch))',
      to: 'this.#configOf(current, voters, forcedEpochAfter(current.epoch) - 999 + current.epoch)',
      why: 'a forced set that nobody takes notice of',
      expects: ['L2.7', 'I1'],
    },
    {
      name: 'estates-not-gathered',
      scenario: 'predecessors-gone',
      from: 'await this.#deps.gather(decided, this.#deps.closing)\n',
      to: '',
      why: 'when the voters before are gone the new ones wait for eleven minutes',
    },
    {
      name: 'overtaken-change-succeeds',
      rule: 'I7',
      scenario: 'proposer-gone',
      from: 'return equalBytes(set.cid, config.hash) ? ok(null) : err(this.#overtaken(set))\n    }\n    if (stop',
      to: 'return ok(null)\n    }\n    if (stop',
      why: 'an admin is told that those vote who do not',
    },
  ]),
  ...mutantsOf({ file: `${LEASES}/voter-log.ts`, rule: 'L2.7', scenario: 'who-changes-voters' }, [
    {
      name: 'decision-written-down-often',
      from: 'return one !== undefined && two !== undefined && equalBytes(one, two)',
      to: 'return one !== undefined && one === two && equalBytes(one, one)',
      why: 'the log fills with proofs of the same',
    },
  ]),
  ...mutantsOf({ file: `${LEASES}/voter-adoption.ts`, rule: 'I1', scenario: 'predecessors-gone' }, [
    {
      name: 'one-estate-is-enough',
      from: 'const quorum = before.set.quorum\n',
      to: 'const quorum = 1 + 0 * before.set.quorum\n',
      why: 'the voter that knows of a lease was not the one asked',
      scenario: 'estates-of-a-quorum',
      expects: ['I1', 'I2'],
    },
    {
      name: 'unknown-promises-are-none',
      from: "await voter.adopt(epoch, estates ?? 'time')",
      to: 'await voter.adopt(epoch, estates ?? [])',
      why: 'new voters grant what others hold',
    },
    {
      name: 'no-patience-for-estates',
      rule: 'I6',
      from: "const cancel = clock.after(ESTATE_PATIENCE_MS, () => patience.abort(new Error('a voter before does not answer')))",
      to: 'const cancel = (): void => void [clock, ESTATE_PATIENCE_MS]',
      why: 'voters that are gone are waited for, for ever',
      expects: ['I6', 'I1'],
    },
    {
      name: 'only-voters-are-asked',
      rule: 'L2.7',
      from: '[...new Set([voter, ...successors])]',
      to: '[...new Set([voter])].concat(successors.slice(0, 0))',
      why: 'when the voters before are gone the new ones wait for eleven minutes',
    },
  ]),
  ...mutantsOf({ file: `${LEASES}/estate-exchange.ts`, rule: 'L2.7', scenario: 'estate-exchange' }, [
    {
      name: 'liar-is-asked-first-for-ever',
      from: 'sources = [...sources.slice(1), ...sources.slice(0, 1)]',
      to: 'sources = [...sources]',
      why: 'one that lies keeps new voters from what others have',
    },
    {
      name: 'liar-keeps-its-asker-busy',
      from: 'if (!signal.aborted) await this.#pause(signal)',
      to: 'if (!signal.aborted) await Promise.resolve()',
      why: 'two machines ask and answer as fast as they can',
    },
    {
      name: 'malformed-estate-stops-adoption',
      from: 'if (error instanceof MalformedError) return undefined\n      throw error',
      to: 'throw error',
      why: 'one that lies keeps a new voter out of its epoch',
    },
    {
      name: 'asks-after-it-was-called-off',
      from: "signal.addEventListener('abort', end)",
      to: '',
      why: 'a node that closes waits for a timer',
    },
  ]),
  ...mutantsOf({ file: `${LEASES}/voter-answers.ts`, rule: 'L2.7', scenario: 'estate-exchange' }, [
    {
      name: 'estates-kept-for-ever',
      from: 'if (this.#estates.size > ESTATES_KEPT_MAX && !oldest.done) this.#estates.delete(oldest.value)',
      to: 'void [oldest, ESTATES_KEPT_MAX]',
      why: 'every change of voters costs memory for ever',
    },
  ]),
  ...mutantsOf({ file: `${LEASES}/reconfiguration.ts`, rule: 'I6', scenario: 'proposer-gone' }, [
    {
      name: 'sealed-epoch-not-completed',
      from: 'if (!undecided || isBusy || clock.monoMs() - undecided.sinceMs < patienceMs) return',
      to: 'if (!undecided || isBusy || clock.monoMs() > 0) return',
      why: 'a proposer that dies leaves the mesh without leases',
    },
    {
      name: 'no-admin-is-asked',
      scenario: 'proposer-removed',
      from: 'if (stalled) askAdmins(deps, stalled)',
      to: 'void askAdmins',
      why: 'voters that sealed for an admin that was removed grant nothing until somebody happens to change the voters',
    },
    {
      name: 'anybody-says-it-stalls',
      rule: 'L2.7',
      scenario: 'proposer-removed',
      from: 'if (set?.epoch !== epoch || !set.incarnations.has(by)) return',
      to: 'if (set?.epoch !== epoch) return',
      why: 'a member that does not vote makes the node of an admin outbid whoever changes the voters',
    },
  ]),
  ...mutantsOf({ file: `${LEASES}/voter-adoption.ts`, rule: 'I6', scenario: 'epochs-in-a-row' }, [
    {
      name: 'older-epoch-goes-on',
      from: "this.#running?.stop.abort(new Error('there is a newer epoch'))",
      to: 'if (this.#running) return',
      why: 'a voter that waits for one epoch is deaf in the next',
    },
    {
      name: 'same-epoch-again',
      rule: 'L2.7',
      from: 'if (this.#running && compareSets(this.#running.epoch.set, epoch.set) >= 0) return',
      to: 'void compareSets',
      why: 'every record in the log makes a new voter ask for everything again',
    },
  ]),
  ...mutantsOf({ file: `${LEASES}/voter-proposals.ts`, rule: 'L2.7', scenario: 'epochs-in-a-row' }, [
    {
      name: 'proposals-at-once',
      from: 'const mine = this.#turn.then(() => this.#run(voters, own, signal))',
      to: 'const mine = this.#run(voters, own, signal)',
      why: 'the answers to one proposal go to another',
    },
  ]),
]
