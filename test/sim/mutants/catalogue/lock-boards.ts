import { mutantsOf, type Cut } from '../mutant.ts'

const LOCKS = 'node/services/locks'
const BOARD = 'crdt/lock-board.ts'
const LIVE_DOCUMENT = 'crdt/live-document.ts'
const RIVALS = `${LOCKS}/lock-rivals.ts`
const LEASE = `${LOCKS}/lock-lease.ts`

/** Guards of what is shown of locks, of who is in whose way, and of what the voters answer. */
export const lockBoardMutants: readonly Cut[] = [
  ...mutantsOf({ file: BOARD, rule: 'M13', scenario: 'locks-shown' }, [
    {
      name: 'unproven-locks-shown',
      from: 'this.#isValid(node, lock) && this.#rules',
      to: 'this.#rules',
      why: 'a member shows locks that nobody granted',
    },
    {
      name: 'refused-for-good',
      from: '    this.#verified = new WeakMap()\n    return',
      to: '    return',
      why: 'a lock stays hidden whose voters were not known when it was first read',
    },
    {
      name: 'prefix-of-a-project',
      rule: 'M19',
      from: 'record.key === projectKey || record.key.startsWith(`${projectKey}/`)',
      to: 'record.key.startsWith(projectKey)',
      why: 'a project shows the locks of others',
    },
  ]),
  ...mutantsOf({ file: `${LOCKS}/lock-composition.ts`, rule: 'M13', scenario: 'locks-shown' }, [
    {
      name: 'voters-known-in-vain',
      from: "if (type === 'members.changed') boards.reverify()",
      to: 'void [type, boards]',
      why: 'a lock stays hidden whose voters were not known when it was first read',
    },
  ]),
  ...mutantsOf({ file: LIVE_DOCUMENT, rule: 'M13', scenario: 'locks-shown' }, [
    {
      name: 'any-certificate',
      from: '!(certificate instanceof Uint8Array) || certificate.byteLength',
      to: '(certificate as Uint8Array).byteLength',
      why: 'what a member writes in place of a certificate goes on as bytes',
    },
    {
      name: 'certificate-of-any-size',
      from: ' || certificate.byteLength > LOCK_CERTIFICATE_BYTES_MAX',
      to: '',
      why: 'one member has every other read as much as it likes',
    },
    {
      name: 'certificate-with-every-path',
      rule: 'D9',
      from: 'certificate && !certificates(doc).has(record.lease)',
      to: 'certificate',
      why: 'a lease of many paths does not fit into a live document',
    },
  ]),
  ...mutantsOf({ file: RIVALS, rule: 'P1', scenario: 'lock-rivals' }, [
    {
      name: 'own-locks-as-they-are-shown',
      from: 'if (lock.node !== deps.self) add(lock)',
      to: 'add(lock)',
      why: 'what this node has just given back is in the way',
    },
    {
      name: 'own-claims-do-not-count',
      from: 'if (isProvisional(record) || deps.leases.isValid(record.lease))',
      to: 'if (deps.leases.isValid(record.lease) && !isProvisional(record))',
      why: 'one node gives one path to two',
    },
    {
      name: 'own-locks-do-not-count',
      from: 'if (isProvisional(record) || deps.leases.isValid(record.lease))',
      to: 'if (isProvisional(record))',
      why: 'one node gives one path to two',
    },
    {
      name: 'lapsed-locks-count',
      rule: 'L2.5',
      from: 'if (isProvisional(record) || deps.leases.isValid(record.lease)) add',
      to: 'add',
      why: 'a lock whose lease is over is in the way',
    },
    {
      name: 'owner-is-its-own-rival',
      from: '        .filter(({ node, record }) => !isOwnedBy(owner, node, record)),\n',
      to: '',
      why: 'whoever holds a directory is refused what is in it',
    },
    {
      name: 'owner-on-every-node',
      rule: 'I1',
      from: 'owner.node === node && ',
      to: '',
      why: 'one owner is told to hold what voters gave to another node',
    },
    {
      name: 'owner-by-token',
      rule: 'I1',
      from: 'owner.instance === instance && ',
      to: '',
      why: 'all instances of a token are one owner',
    },
    {
      name: 'owner-by-instance',
      rule: 'I1',
      from: 'owner.instance === instance && owner.tokenId === tokenId',
      to: 'owner.instance === instance',
      why: 'whoever has the name is the owner',
    },
    {
      name: 'any-better-rival',
      rule: 'P2',
      from: '.toSorted((a, b) => (outranks(a.record, b.record) ? -1 : 1))[0]',
      to: '[0]',
      why: 'whoever gives way is told of a lock that gives way itself',
    },
    {
      name: 'newcomer-before-a-claim',
      from: 'isProvisional(record) ? !isHere : key === record.key',
      to: 'isProvisional(record) ? true : key === record.key',
      why: 'a newcomer takes what is about to be certified',
    },
    {
      name: 'claims-of-the-absent',
      rule: 'L2.8',
      from: 'isProvisional(record) ? !isHere : key === record.key',
      to: 'isProvisional(record) ? false : key === record.key',
      why: 'a node that is gone blocks what voters would grant',
    },
    {
      name: 'own-claims-absent',
      from: 'node === deps.self || ',
      to: '',
      why: 'a newcomer takes what this node has claimed',
    },
    {
      name: 'node-instead-of-voters',
      rule: 'L2.8',
      from: 'isProvisional(record) ? !isHere : key === record.key',
      to: 'isProvisional(record) ? !isHere : false',
      why: 'a node refuses what the voters would grant',
    },
    {
      name: 'other-spelling-other-file',
      rule: 'L2.9',
      from: 'isProvisional(record) ? !isHere : key === record.key',
      to: 'isProvisional(record) ? !isHere : true',
      why: 'two hold one file since the project began to fold case',
    },
    {
      name: 'whole-project-apart',
      from: 'record.key === key || record',
      to: 'record',
      why: 'a lock of the whole project is in nobody’s way',
    },
    {
      name: 'projects-by-prefix',
      rule: 'M19',
      from: 'record.key === key || record.key.startsWith(`${key}/`)',
      to: 'record.key.startsWith(key)',
      why: 'a lock of another project is in the way',
    },
  ]),
  ...mutantsOf({ file: LEASE, rule: 'L2.8', scenario: 'lock-late-answer' }, [
    {
      name: 'announced-at-once',
      from: "early && (early.ok || early.error.why !== 'no_quorum')",
      to: 'false',
      why: 'every lock is provisional first',
    },
    {
      name: 'granted-and-forgotten',
      rule: 'P2',
      from: 'isAlone ? begun : await',
      to: 'begun ?? await',
      why: 'what voters grant late is neither used nor given back',
    },
    {
      name: 'claim-of-what-was-refused',
      rule: 'P4',
      from: '  if (!certified.ok) await deps.claims.withdraw(claim)\n',
      to: '',
      why: 'a claim that nobody waits for is in the way, for ever',
    },
    {
      name: 'claim-beside-its-lock',
      from: '? await deps.claims.certify(claim, { lease: outcome.value, targets: claim.targets })',
      to: '? await conclude(deps, terms, { outcome, targets })',
      why: 'a claim is left beside its lock',
    },
  ]),
  ...mutantsOf({ file: LEASE, rule: 'L2.4', scenario: 'lock-one-of-many' }, [
    {
      name: 'too-large-strict',
      from: "  if (isTooLarge(targets)) return err(domainError('too_large'))\n  return",
      to: '  return',
      why: 'a certificate that no live document can carry',
    },
    {
      name: 'too-large-local-first',
      from: "  if (isTooLarge(targets)) return err(domainError('too_large'))\n  const asking",
      to: '  const asking',
      why: 'a certificate that no live document can carry',
    },
    {
      name: 'others-go-along',
      rule: 'L2.8',
      from: '    if (!kept.ok && deps.leases.isValid(leaseId)) return kept\n',
      to: '',
      why: 'whoever gives one path back loses the others',
    },
    {
      name: 'others-are-not-kept',
      rule: 'L2.8',
      from: '  if (first) {\n    const kept',
      to: '  if (first === undefined && first) {\n    const kept',
      why: 'whoever gives one path back loses the others',
    },
    {
      name: 'over-and-not-given-back',
      rule: 'L2.5',
      from: 'if (!kept.ok && deps.leases.isValid(leaseId)) return kept',
      to: 'if (!kept.ok) return kept',
      why: 'what is over cannot be given back',
    },
  ]),
]
