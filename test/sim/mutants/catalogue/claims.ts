import { mutantsOf, type Cut } from '../mutant.ts'

const CLAIMS = 'node/services/claims'

/** Guards of what locks and task claims have in common. */
export const claimMutants: readonly Cut[] = [
  ...mutantsOf({ file: `${CLAIMS}/claim-turns.ts`, rule: 'I1', scenario: 'claim-turns' }, [
    {
      name: 'turns-at-once',
      from: 'before ? before.then(task, task) : task()',
      to: 'task()',
      why: 'two calls with one instance and token are both given a lease of one owner',
    },
    {
      name: 'turns-end-with-a-failure',
      rule: 'L2.5',
      from: 'before.then(task, task)',
      to: 'before.then(task)',
      why: 'one refusal of the disk fails all that waits behind it',
    },
    {
      name: 'first-turn-ends-the-queue',
      from: 'if (tails.get(key) === mine) tails.delete(key)',
      to: 'tails.delete(key)',
      why: 'whoever comes third does not wait for the second',
    },
    {
      name: 'queues-for-ever',
      rule: 'D12',
      from: 'if (tails.get(key) === mine) tails.delete(key)',
      to: 'void mine',
      why: 'every path and task that was ever asked for is kept',
    },
  ]),
  ...mutantsOf({ file: `${CLAIMS}/claim-resuming.ts`, rule: 'L2.11', scenario: 'claim-patience' }, [
    {
      name: 'nothing-is-waited-for',
      from: 'known = promise',
      to: 'void promise',
      why: 'a holder is told in the first moments that it holds nothing',
    },
    {
      name: 'patience-without-end',
      from: 'clock.after(PATIENCE_MS, resolve)',
      to: '() => void [clock, PATIENCE_MS]',
      why: 'a node without its voters answers nobody after a restart',
    },
    {
      name: 'patience-with-the-disk',
      from: '        await ready\n        const cancel = clock.after(PATIENCE_MS, resolve)\n',
      to: '        const cancel = clock.after(PATIENCE_MS, resolve)\n        await ready\n',
      why: 'a node that takes long to read its projects says that nobody holds anything',
    },
    {
      name: 'failure-is-waited-for',
      from: "resumed'))\n        .finally(resolve)",
      to: "resumed'))",
      why: 'a node that cannot resume answers nobody, or late',
    },
    {
      name: 'stopping-is-not-noticed',
      from: 'isStopped = true',
      to: 'void isStopped',
      why: 'what is not known when a node stops is written to be lost',
    },
  ]),
  ...mutantsOf({ file: `${CLAIMS}/claim-certificate.ts`, rule: 'L2.10', scenario: 'claim-certificates' }, [
    {
      name: 'certificate-of-another-node',
      from: '      granted.node === claimed.node &&\n',
      to: '',
      why: 'a member shows the certificate of another as its own',
    },
    {
      name: 'certificate-of-another-lease',
      from: '      granted.leaseId === claimed.leaseId &&\n',
      to: '',
      why: 'a member goes on with the certificate of a lease that has ended',
    },
    {
      name: 'certificate-of-another-token',
      from: '      granted.token === claimed.token &&\n',
      to: '',
      why: 'a member shows a token that fences off everybody',
    },
    {
      name: 'certificate-of-another-instance',
      from: '      granted.instanceId === claimed.instanceId &&\n',
      to: '',
      why: 'a member shows others as holders of what it holds',
    },
    {
      name: 'certificate-of-something-else',
      from: 'granted.resources.some((resource) => sameResource(resource, claimed.resource))',
      to: 'granted.resources.length > 0',
      why: 'one lease is shown on everything',
    },
    {
      name: 'certificate-of-another-kind',
      from: 'a.kind === b.kind && ',
      to: '',
      why: 'a lock is shown as a claim',
    },
    {
      name: 'certificate-of-another-key',
      from: 'a.key === b.key && ',
      to: '',
      why: 'one lease is shown on everything',
    },
    {
      name: 'certificate-of-another-extent',
      from: ' && a.mode === b.mode',
      to: '',
      why: 'a lease on one thing is shown on all below it',
    },
    {
      name: 'certificate-checked-with-every-look',
      from: '    if (known) return known\n',
      to: '',
      why: 'a board of hundreds of locks costs as many quorums of signatures each time',
    },
    {
      name: 'forgeries-remembered',
      from: '    if (!req) return undefined\n',
      to: '    if (!req) return void verified.set(hash, verified.size >= VERIFIED_MAX ? verified.clear() : undefined)\n',
      why: 'one member has all others check everything anew',
    },
    {
      name: 'certificates-remembered-for-ever',
      from: '    if (verified.size >= VERIFIED_MAX) verified.clear()\n',
      to: '',
      why: 'the memory of a node grows with every lease of the mesh',
    },
  ]),
  ...mutantsOf({ file: `${CLAIMS}/claim-watch.ts`, rule: 'L2.10', scenario: 'claim-watch' }, [
    {
      name: 'old-record-is-news',
      from: 'renewedMs: isOld ? -Infinity : now',
      to: 'renewedMs: now',
      why: 'after every start what ended long ago is shown for a minute',
    },
    {
      name: 'clocks-do-not-differ',
      from: ' + CLOCK_SKEW_MS < clock',
      to: ' < clock',
      why: 'what a machine holds whose clock is behind is hidden',
    },
    {
      name: 'heartbeat-of-before-counts',
      from: 'Math.max(lease.renewedMs, heard ?? -Infinity)',
      to: 'heard ?? lease.renewedMs',
      why: 'a lease ends with a heartbeat that is older than its record',
    },
    {
      name: 'shown-for-ever',
      from: 'return lease.renewedMs + this.#ttlMs',
      to: 'return lease.renewedMs + 100 * this.#ttlMs',
      why: 'a node that died holds its locks for ever on all boards',
    },
    {
      name: 'own-leases-by-heartbeat',
      rule: 'L2.5',
      expects: ['L2.5', 'L2.10'],
      from: '    if (lease.node === self) return leases.isValid(lease.leaseId) ? Infinity : -Infinity\n',
      to: '    void [leases, self]\n',
      why: 'an agent is shown to hold what its node has lost',
    },
    {
      name: 'flips-not-told',
      from: 'if (this.#look(lease) !== before) flipped.push(id)',
      to: 'this.#look(lease)',
      why: 'boards never learn that a holder has fallen silent',
    },
    {
      name: 'first-timer-counts',
      rule: 'L2.5',
      expects: ['L2.5', 'L2.10'],
      from: '(this.#timer && this.#timer.at <= at)',
      to: 'this.#timer',
      why: 'what ends sooner than what was looked at first is shown until that ends',
    },
    {
      name: 'timers-multiply',
      from: '  lookAgain(): void {\n    this.#timer?.cancel()\n',
      to: '  lookAgain(): void {\n',
      why: 'every lease that comes back adds a look at everything, for ever',
    },
    {
      name: 'looks-at-the-next-time-only',
      rule: 'L2.11',
      from: '    this.#timer?.cancel()\n    this.#sweep()\n',
      to: '',
      why: 'a lock that goes on after a restart is hidden for some seconds',
    },
    {
      name: 'dead-leases-kept',
      from: 'if (!lease.isLive && deadMs > DEAD_KEPT_MS) this.#watched.delete(id)',
      to: 'void [deadMs, DEAD_KEPT_MS]',
      why: 'every lease of the mesh is looked at until the node stops',
    },
    {
      name: 'dead-leases-forgotten-at-once',
      from: ' && deadMs > DEAD_KEPT_MS',
      to: ' && deadMs > 0 * DEAD_KEPT_MS',
      why: 'what has ended comes back when its document is looked at again',
    },
    {
      name: 'looks-after-the-end',
      from: 'if (this.#isStopped || (this.#timer',
      to: 'if ((this.#timer',
      why: 'a node that has stopped goes on looking',
    },
  ]),
  ...mutantsOf({ file: `${CLAIMS}/claim-owner.ts`, rule: 'L2.8', scenario: 'claim-words' }, [
    {
      name: 'ends-what-another-instance-holds',
      from: '  if (by.instanceId !== undefined && by.instanceId !== held.instanceId) return false\n',
      to: '',
      why: 'an agent completes by mistake what another of its user works on',
    },
    {
      name: 'token-that-took-it-is-no-proof',
      from: '  if (by.actor.tokenId === held.tokenId) return true\n',
      to: '',
      why: 'whoever takes a provisional lock cannot give it back',
    },
    {
      name: 'ability-is-proof',
      from: 'by.fencingToken === held.fencingToken && can',
      to: 'can',
      why: 'every agent ends what any other holds',
    },
    {
      name: 'fencing-token-is-proof',
      rule: 'T2',
      from: ' && can(by.actor, by.ability)',
      to: '',
      why: 'a token that may only read ends what others hold',
    },
    {
      name: 'no-token-is-proof',
      from: 'by.fencingToken === held.fencingToken && can',
      to: '(by.fencingToken ?? null) === held.fencingToken && can',
      why: 'a provisional lock has no token: whoever gives none ends it',
    },
  ]),
  ...mutantsOf({ file: `${CLAIMS}/claim-refusal.ts`, rule: 'M13', scenario: 'claim-words' }, [
    {
      name: 'any-number-is-a-date',
      from: 'Number.isNaN(date.getTime()) ? undefined : date.toISOString()',
      to: 'date.toISOString()',
      why: 'what one member signed makes the calls of all others fail',
    },
  ]),
  ...mutantsOf({ file: `${CLAIMS}/claim-reached.ts`, rule: 'L2.8', scenario: 'claim-words' }, [
    {
      name: 'read-back-without-end',
      from: 'deps.clock.after(READ_BACK_MS, () => stop.abort())',
      to: '() => void READ_BACK_MS',
      why: 'a caller waits for ever for a write that was cut off on its way',
    },
  ]),
]
