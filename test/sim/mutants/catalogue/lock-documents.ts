import { mutantsOf, type Cut } from '../mutant.ts'

const BOARDS = 'node/services/locks/lock-boards.ts'
const LIVE = 'node/services/locks/lock-live.ts'

/** Guards of what nodes say of their locks in documents, and of what others read there. */
export const lockDocumentMutants: readonly Cut[] = [
  ...mutantsOf({ file: BOARDS, rule: 'D6', scenario: 'live-followed' }, [
    {
      name: 'last-opened-is-followed',
      expects: ['D6', 'M17'],
      from: '(now && now.generation >= generation)',
      to: '(now && now.generation < 0)',
      why: 'of two generations that are opened at once the older one hides what its node says from then on',
    },
    {
      name: 'old-generations-stay',
      from: '      now?.unpin()\n',
      to: '',
      why: 'every generation that a node ever wrote stays in the memory of all others',
    },
    {
      name: 'old-generations-come-back',
      from: '    if (before && before.generation > generation) return\n',
      to: '',
      why: 'what is read of an old generation is loaded each time, in vain',
    },
    {
      name: 'opened-after-the-end',
      from: 'if (!place || this.#isStopped) return',
      to: 'if (!place) return',
      why: 'a node that has stopped opens what its members go on to write',
    },
    {
      name: 'opening-outlives-the-node',
      from: 'if (this.#isStopped || (now',
      to: 'if ((now',
      why: 'what was being opened when a node stopped is never let go of',
    },
  ]),
  ...mutantsOf({ file: BOARDS, rule: 'M13', scenario: 'live-read' }, [
    {
      name: 'any-path-under-a-key',
      from: 'isSpelled(record) && this.#isGranted',
      to: 'this.#isGranted',
      why: 'a member shows what it was granted on a path that nobody granted',
    },
    {
      name: 'any-spelling-of-a-path',
      from: ' && target.value.path === path',
      to: '',
      why: 'boards show one path in as many spellings as a member likes',
    },
    {
      name: 'folded-locks-hidden',
      rule: 'L2.9',
      from: 'return [false, true].some',
      to: 'return [false].some',
      why: 'in a project that folds case a lock on a path with a capital is not shown',
    },
    {
      name: 'any-pattern-over-a-path',
      from: '{ key: space, caseFold }, pattern ?? path)',
      to: '{ key: space, caseFold }, path)',
      why: 'a lock is shown on what its holder never asked for',
    },
    {
      name: 'certificates-taken-on-trust',
      rule: 'L2.10',
      from: 'certificate !== undefined && this.#deps.certifies(claimed, certificate)',
      to: 'certificate !== undefined && claimed !== undefined',
      why: 'a member shows as certified what no voter has heard of',
    },
  ]),
  ...mutantsOf({ file: BOARDS, rule: 'P1', scenario: 'live-read' }, [
    {
      name: 'claims-of-strangers-stand',
      from: 'this.#deps.isMember(node) && this.remainingMs(record) > 0',
      to: 'this.remainingMs(record) > 0',
      why: 'what a member held that was removed is in the way of all others',
    },
    {
      name: 'claims-stand-for-ever',
      from: 'Math.max(0, Date.parse(record.expiresAt) - this',
      to: 'Math.max(0, Date.parse(record.expiresAt) + 3_600_000 - this',
      why: 'what a node claimed that never came back is in the way of all others',
    },
    {
      name: 'end-of-a-claim-unseen',
      from: '    this.#armExpiry()\n    for',
      to: '    for',
      why: 'a claim that has ended is shown until something else happens',
    },
    {
      name: 'one-look-over-sleep',
      from: 'Math.min(EXPIRY_LOOK_MAX_MS, ...ends)',
      to: 'Math.min(...ends)',
      why: 'timers stand still in sleep: a claim that has ended is shown for as long as it slept',
    },
    {
      name: 'a-timer-with-every-look',
      from: '  #armExpiry(): void {\n    this.#cancelExpiry()\n',
      to: '  #armExpiry(): void {\n',
      why: 'every change adds a look at everything, for ever',
    },
    {
      name: 'looks-at-boards-after-the-end',
      from: '    this.#cancelExpiry()\n    if (this.#isStopped) return\n',
      to: '    this.#cancelExpiry()\n',
      why: 'a node that has stopped goes on looking',
    },
  ]),
  ...mutantsOf({ file: LIVE, rule: 'L2.11', scenario: 'live-kept' }, [
    {
      name: 'told-before-it-is-kept',
      from: 'await this.#writeBatch(await this.#keep(batch))',
      to: 'await Promise.all([this.#writeBatch(batch), this.#keep(batch)])',
      why: 'a process that dies in between does not find what its holder was told to have',
    },
    {
      name: 'generations-of-every-process-alike',
      from: 'deps.boot * GENERATIONS_PER_BOOT',
      to: 'GENERATIONS_PER_BOOT',
      why: 'others go on with what an earlier process said',
    },
  ]),
  ...mutantsOf({ file: LIVE, rule: 'D7', scenario: 'live-kept' }, [
    {
      name: 'refused-and-held',
      from: 'if (!put?.ok) this.#takeBack(undo)',
      to: 'void put',
      why: 'a node holds in memory what its disk has refused',
    },
    {
      name: 'refused-and-new',
      from: 'if (old) this.#entries.set(id, old)\n          else this.#entries.delete(id)',
      to: 'this.#entries.delete(id)',
      why: 'a lock that could not be prolonged is gone',
    },
    {
      name: 'taken-back-twice',
      from: 'undo.isDone ? [] : touched.entries()',
      to: 'touched.entries()',
      why: 'what is asked for again while the disk refuses the rest goes with the first try',
    },
    {
      name: 'refused-and-read',
      from: '    if (!undo.isWritten) return\n    this.#isReady = false\n',
      to: '    if (!undo.isWritten || this.#isReady) return\n',
      why: 'others are shown what was refused after a part of it was written',
    },
    {
      name: 'rest-of-what-was-refused',
      from: 'if (next.undo?.isDone) {',
      to: 'if (next.undo?.isDone === undefined && next.undo) {',
      why: 'others are shown the rest of what was refused, and nobody takes it out',
    },
    {
      name: 'disk-refuses-what-is-given-back',
      from: 'if (undo) reject(new StorageError',
      to: 'reject(new StorageError',
      why: 'on a full disk nothing can be given back',
    },
    {
      name: 'disk-keeps-what-is-given-back',
      from: 'return batch.filter(({ undo }) => !undo)',
      to: 'return batch.slice(batch.length)',
      why: 'what is given back on a full disk is not told to others, and its caller waits for ever',
    },
  ]),
  ...mutantsOf({ file: LIVE, rule: 'D9', scenario: 'live-kept' }, [
    {
      name: 'one-write-for-each',
      from: '    await Promise.resolve() // what else is asked for in this moment joins in\n',
      to: '',
      why: 'a hundred locks of one call cost a hundred writes',
    },
    {
      name: 'writers-at-once',
      from: 'if (!this.#isWriting) void this.#work()',
      to: 'void this.#work()',
      why: 'generations are replaced while they are written',
    },
  ]),
  ...mutantsOf({ file: LIVE, rule: 'M10', scenario: 'live-sizes' }, [
    {
      name: 'writes-of-any-size',
      expects: ['M10', 'D9'],
      from: 'if (batch.length > 0 && bytes > WRITE_BYTES_MAX) break',
      to: 'void WRITE_BYTES_MAX',
      why: 'what is said in one moment fits into no envelope, and none of it is said',
    },
    {
      name: 'leases-in-one-write',
      from: 'weigh([...part, change]) > WRITE_BYTES_MAX',
      to: 'weigh([...part, change]) > 64 * WRITE_BYTES_MAX',
      why: 'a lease over hundreds of paths fits into no envelope',
    },
  ]),
  ...mutantsOf({ file: LIVE, rule: 'D9', scenario: 'live-sizes' }, [
    {
      name: 'generations-filled-at-once',
      from: 'if (weigh(changes) < WRITE_BYTES_MAX / 2) continue',
      to: 'if (weigh(changes) > 0) continue',
      why: 'what a node holds fits into no envelope: its generation is never replaced',
    },
    {
      name: 'one-generation-for-ever',
      from: '!this.#isReady || this.#isWorn()',
      to: '!this.#isReady',
      why: 'a live document grows with every change until no member takes it',
    },
    {
      name: 'worn-by-what-it-holds',
      from: 'Math.max(GENERATION_BYTES_MAX, 2 * this.#heldBytes())',
      to: 'GENERATION_BYTES_MAX',
      why: 'a node that holds much writes all of it with every change',
    },
    {
      name: 'worn-generation-goes-on',
      from: '    this.#generation++\n',
      to: '',
      why: 'a live document grows with every change until no member takes it',
    },
    {
      name: 'any-number-of-locks',
      from: 'if (this.#heldBytes() > HELD_BYTES_MAX) {',
      to: 'if (this.#heldBytes() < 0) {',
      why: 'a node holds more than others take, and nothing of it is shown',
    },
    {
      name: 'more-than-enough-is-held',
      from: '      undo.run()\n      return err(domainError',
      to: '      return err(domainError',
      why: 'a node holds in memory what it refused',
    },
  ]),
  ...mutantsOf({ file: LIVE, rule: 'D6', scenario: 'live-sizes' }, [
    {
      name: 'half-of-a-generation-is-ready',
      from: '    this.#isReady = false\n    this.#generation++',
      to: '    this.#generation++',
      why: 'after a write that failed a node goes on in a generation that nobody reads',
    },
    {
      name: 'ready-from-the-start',
      from: '      await this.#write(changes)\n      changes = []',
      to: '      await this.#write([...changes, { bytes: 0, apply: markReady }])\n      changes = []',
      expects: ['D6', 'D9'],
      why: 'others see the locks of a node vanish whenever it begins a new generation',
    },
  ]),
]
