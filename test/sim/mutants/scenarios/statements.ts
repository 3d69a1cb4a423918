import { encodeCanonical, MalformedError } from '../../../../protocols/codec.ts'
import { voterSetOf } from '../../../../protocols/lease/config.ts'
import { EquivocationWatch, FAULT_BYTES_MAX, readFault } from '../../../../protocols/lease/equivocation.ts'
import { packEstate, unpackEstate, type Estate } from '../../../../protocols/lease/estate.ts'
import { decodeFrame, encodeMessage, takeFrame, type LeaseMessage } from '../../../../protocols/lease/frame.ts'
import type { Grant, LeaseRequest, Resource } from '../../../../protocols/lease/messages.ts'
import { OverlapIndex } from '../../../../protocols/lease/overlap-index.ts'
import { areNormalised, normalisePath, overlaps, sortResources } from '../../../../protocols/lease/resources.ts'
import { pack, Signatures, type LeaseKind, type Seal, type Signed } from '../../../../protocols/lease/signing.ts'
import { createSeededRandom, crypto } from '../../../support/identity.ts'
import {
  configOf,
  hex,
  keysOf,
  otherSpace,
  path,
  peer,
  requestOf,
  signaturesOf,
  signedBy,
} from '../../../support/lease-lab.ts'
import type { Report, Scenario } from '../scenario.ts'

export const statementScenarios: readonly Scenario[] = [
  {
    id: 'equivocation',
    says: 'Two grants that contradict each other convict their voter, whatever is not one does not.',
    run: equivocation,
  },
  { id: 'signatures', says: 'A signature stands for one statement of one kind by one node.', run: signatures },
  { id: 'frames', says: 'What no honest node writes is not read.', run: frames },
  { id: 'estate-pages', says: 'An estate is what was sealed, or nothing.', run: estatePages },
  { id: 'paths', says: 'A path has one spelling, and what covers it is found.', run: paths },
]

type Pair = { readonly req: Signed<LeaseRequest>; readonly grant: Signed<Grant> }

const set = voterSetOf(configOf(1))

function pairOf(fields: Parameters<typeof requestOf>[0] = {}, change: Partial<Grant> = {}, signer = 1): Pair {
  const req = requestOf(fields, set)
  const { space, epoch, lid, seq, token, ttl } = req.body
  const names = { voter: peer(signer), inc: hex(signer), reqHash: req.hash }
  const grant = { v: 1 as const, space, epoch, lid, seq, token, ttl, ...names, vseq: 1, first: 1, after: [], ...change }
  return { req, grant: signedBy(signer, 'grant', grant) }
}

const bytesOf = (a: Pair, b: Pair): Uint8Array =>
  encodeCanonical({ a: { req: a.req.bytes, grant: pack(a.grant) }, b: { req: b.req.bytes, grant: pack(b.grant) } })

function equivocation({ must }: Report): void {
  const one = pairOf({}, { vseq: 4, first: 2 })
  const faultIn = (...pairs: Pair[]) => {
    const watch = new EquivocationWatch()
    return pairs.map((pair) => watch.note(pair)).at(-1)
  }
  const proves = (a: Pair, b: Pair): boolean => readFault(signaturesOf(40), bytesOf(a, b)) !== undefined
  const faults: [string, Pair][] = [
    ['another owner’s lease while the first ran', pairOf({ by: 22 }, { vseq: 3, first: 3 })],
    ['another owner’s lease since before the first', pairOf({ by: 22 }, { vseq: 9, first: 1 })],
    ['another owner on the same node', pairOf({ lid: hex(9), owner: 'boot/other' }, { vseq: 3, first: 3 })],
    ['the same owner name on another node', pairOf({ by: 22, owner: 'boot/21' }, { vseq: 3, first: 3 })],
    ['one number twice', pairOf({ seq: 1 }, { vseq: 4, first: 2 })],
    ['one lease with two beginnings', pairOf({ seq: 1 }, { vseq: 5, first: 3 })],
  ]
  for (const [what, two] of faults) {
    const isSeen = faultIn(one, two) !== undefined && faultIn(two, one) !== undefined && proves(one, two)
    must('L2.12', isSeen, `goes unpunished: ${what}`)
  }
  const honest: [string, Pair][] = [
    ['the same grant again', one],
    ['a renewal', pairOf({ seq: 1 }, { vseq: 5, first: 2 })],
    ['another owner’s lease afterwards', pairOf({ by: 22, n: 2 }, { vseq: 5, first: 5 })],
    ['another owner’s lease before', pairOf({ by: 22 }, { vseq: 1, first: 1 })],
    ['another lease of the same owner', pairOf({ lid: hex(9) }, { vseq: 3, first: 3 })],
    ['a lease elsewhere', pairOf({ by: 22, res: [path('b')] }, { vseq: 3, first: 3 })],
    ['a later incarnation', pairOf({ by: 22 }, { vseq: 3, first: 3, inc: hex(9) })],
    ['another voter of the same incarnation', pairOf({ by: 22 }, { vseq: 3, first: 3, inc: hex(1) }, 2)],
    ['another epoch', pairOf({ by: 22 }, { vseq: 3, first: 3, epoch: 2 })],
    ['another mesh', pairOf({ by: 22 }, { vseq: 3, first: 3, space: otherSpace })],
  ]
  for (const [what, two] of honest) {
    const isClear = faultIn(one, two) === undefined && faultIn(two, one) === undefined && !proves(one, two)
    must('L2.12', isClear, `an honest voter is convicted: ${what}`)
  }
  const rival = pairOf({ by: 22 }, { vseq: 3, first: 3 })
  const lies: [string, Pair][] = [
    ['a grant that the voter did not sign', { ...rival, grant: signedBy(2, 'grant', rival.grant.body) }],
    ['a request that was not granted', { ...rival, req: requestOf({ by: 22, seq: 8 }, set) }],
    [
      'a request over something else',
      { ...pairOf({ by: 22, res: [path('b')] }, { vseq: 3, first: 3 }), req: rival.req },
    ],
  ]
  for (const [what, two] of lies) must('L2.12', !proves(one, two), `an honest voter is convicted by ${what}`)
  for (const bytes of [Uint8Array.of(0x83, 1), new Uint8Array(), new Uint8Array(FAULT_BYTES_MAX + 1)]) {
    const fault = attempt(() => readFault(signaturesOf(40), bytes))
    must('L2.12', fault === undefined, 'garbage in the log is no proof, and stops nobody')
  }
  const late = pairOf({ seq: 3 }, { vseq: 9, first: 2 })
  const between = pairOf({ by: 22 }, { vseq: 7, first: 6 })
  must('L2.12', faultIn(late, one, between) !== undefined, 'an older grant makes it forget a newer one')
  must('L2.12', faultIn(one, late, between) !== undefined, 'a newer grant is not remembered')
  const res = Array.from({ length: 40 }, (_, i) => path(`${String(i).padStart(3, '0')}${'x'.repeat(1000)}`))
  const [a, b] = [pairOf({ res }, { vseq: 4, first: 2 }), pairOf({ by: 22, res }, { vseq: 3, first: 3 })]
  must('L2.12', faultIn(a, b) === undefined, 'a proof is passed on that nobody reads since it is too large')
  const watch = new EquivocationWatch()
  watch.note(one)
  for (let i = 0; i < 4096; i++)
    watch.note({
      ...rival,
      req: { ...rival.req, body: { ...rival.req.body, res: [path(`f${i}`)] } },
      grant: { ...rival.grant, body: { ...rival.grant.body, lid: hex(i), vseq: 10 + i, first: 10 + i } },
    })
  must('L2.12', watch.note(rival) === undefined, 'remembers every grant there ever was')
}

/** What is malformed is refused by an exception of its own. */
function attempt<T>(read: () => T): T | 'malformed' {
  try {
    return read()
  } catch (error) {
    if (error instanceof MalformedError) return 'malformed'
    throw error
  }
}

function signatures({ must }: Report): void {
  const own = signaturesOf(1)
  const reader = (): Signatures => new Signatures(keysOf(40))
  const signed = own.sign('grant', { a: 1 })
  const isGenuine = (of: Signed<unknown>, by = 1): boolean => reader().isSignedBy(peer(by), of)
  must('L2.4.1', isGenuine(signed), 'a signature does not count')
  must('L2.4.1', !isGenuine(signed, 2), 'a signature counts for another node')
  must('L2.4.1', !isGenuine({ ...signed, kind: 'promise' }), 'a signature counts for a statement of another kind')
  const other = own.draft('grant', { a: 2 })
  must('L2.4.1', !isGenuine({ ...other, seal: signed.seal }), 'a signature counts for another statement')
  must('L2.4.1', !isGenuine({ ...signed, seal: { ...signed.seal, sig: new Uint8Array(64) } }), 'any signature counts')
  const drafts = Array.from({ length: 5 }, (_, i) => own.draft('grant', { i }))
  const seals = own.seal(drafts)
  for (const [i, draft] of drafts.entries()) {
    must('L2.4.1', isGenuine({ ...draft, seal: seals[i]! }), `statement ${i} of a batch does not count`)
    const next = seals[(i + 1) % 5]!
    must('L2.4.1', !isGenuine({ ...draft, seal: next }), 'a statement counts at the place of another')
  }
  const moved = (at: number): Seal => ({ ...signed.seal, at })
  must('L2.4.1', !isGenuine({ ...signed, seal: moved(1) }), 'one statement has many signatures')
  const one = reader()
  one.isSignedBy(peer(1), signed)
  must('L2.4.1', !one.isSignedBy(peer(2), signed), 'what was checked for one node counts for another')
  must('L2.4.1', !one.isSignedBy(peer(1), { ...other, seal: signed.seal }), 'what was checked once counts for anything')
  const forged = { ...signed.seal, sig: signed.seal.sig.map((byte, i) => (i < 32 ? byte : byte ^ 1)) }
  must(
    'L2.4.1',
    !one.isSignedBy(peer(1), { ...signed, seal: forged }),
    'what was checked once counts with any signature',
  )
}

function frames({ must }: Report): void {
  const { body: request } = requestOf({}, set)
  const signedAs = (t: LeaseKind, body: object) => ({ t, m: pack(signedBy(4, t, body)) })
  const isRead = (message: unknown): boolean =>
    attempt(() => decodeFrame(signaturesOf(40), encodeCanonical([encodeCanonical(message)]))) !== 'malformed'
  must('L2.4.1', isRead(signedAs('request', request)), 'a good request is not read')
  const lies: [string, unknown][] = [
    ['a request for longer than anybody may promise', signedAs('request', { ...request, ttl: 600_001 })],
    ['a request for no time', signedAs('request', { ...request, ttl: 0 })],
    ['a request for nothing', signedAs('request', { ...request, res: [] })],
    [
      'a request over too much',
      signedAs('request', { ...request, res: Array.from({ length: 513 }, (_, i) => path(`${i}`)) }),
    ],
    ['a request over a path without end', signedAs('request', { ...request, res: [path('x'.repeat(1201))] })],
    ['a token beyond all tokens', signedAs('request', { ...request, token: { epoch: 1, n: 2 ** 32 } })],
    ['a request with more than it has', signedAs('request', { ...request, more: 1 })],
  ]
  for (const [what, message] of lies) must('L2.4.1', !isRead(message), `${what} is read`)
  const later = encodeCanonical([encodeCanonical({ t: 'steal', m: {} })])
  must('L2.4.1', decodeFrame(signaturesOf(40), later).length === 0, 'a word that is none is read')
  const other = signedBy(1, 'promise', { a: 1 })
  const asGrant: LeaseMessage[] | 'malformed' = attempt(() =>
    decodeFrame(signaturesOf(40), encodeCanonical([encodeCanonical({ t: 'request', m: pack(other) })])),
  )
  must('L2.4.1', asGrant === 'malformed', 'another statement is read as a request')
  const proof = pairOf().grant
  const [read] = decodeFrame(signaturesOf(40), takeFrame([encodeMessage({ t: 'proof', m: proof })]))
  const isGenuine = read?.t === 'proof' && signaturesOf(40).isSignedBy(peer(1), read.m)
  must('L2.4.4', isGenuine, 'a voter does not recognise its own grant')
  const many = Array.from({ length: 65 }, () => encodeMessage({ t: 'ask', m: {} }))
  must(
    'L2.4.1',
    attempt(() => decodeFrame(signaturesOf(40), encodeCanonical(many))) === 'malformed',
    'a frame of any number of messages is read',
  )
  const queue = [...many]
  takeFrame(queue)
  must('L2.4.1', queue.length === 1, 'more messages are put into a frame than anybody reads')
  const big = Array.from({ length: 3 }, () => new Uint8Array(400_000))
  must('L2.4.1', takeFrame(big).byteLength < 1024 * 1024, 'a frame is written that nobody reads since it is too large')
}

function estatePages({ must }: Report): void {
  const sha256 = (bytes: Uint8Array): Uint8Array => crypto.sha256(bytes)
  const estate: Estate = { grants: [], after: [] }
  const { hash } = packEstate(sha256, estate)
  const lie = packEstate(sha256, {
    grants: [],
    after: [{ scope: 'path:x', at: { doc: 'mesh' as never, author: peer(1), seq: 1 } }],
  })
  must(
    'L2.7',
    attempt(() => unpackEstate(sha256, { hash, pages: lie.pages })) === 'malformed',
    'anybody says what voters left',
  )
}

const KEYS = ['', 'a', 'a/b', 'a/b/c', 'ab', 'b', 'b/a']

function paths({ must }: Report): void {
  for (const bad of ['a//b', './a', 'a/.', '/a', 'a/', 'a.', 'a ', 'e\u0301', 'a\\b', 'a\0', '..', 'a/../b', '\ud800'])
    must('L2.9', !areNormalised([path(bad)]), `${JSON.stringify(bad)} is taken for a path of its own`)
  for (const bad of ['/a', 'a/../..', 'a\0b', 'a\\b', '\ud800', '...', 'x/'.repeat(65), 'y'.repeat(1025)])
    must('L2.9', !normalisePath(bad).ok, `${JSON.stringify(bad.slice(0, 20))} is taken for a path within the project`)
  const spelled = normalisePath('./a//e\u0301. /b..')
  must(
    'L2.9',
    spelled.ok && spelled.value === 'a/\u00e9/b',
    `one path has another spelling: ${JSON.stringify(spelled)}`,
  )
  must(
    'L2.9',
    !areNormalised([{ kind: 'path', key: '', mode: 'exact' }]),
    'the root alone can be locked, which is nothing',
  )
  must('L2.9', !areNormalised([{ kind: 'task', key: 'a b', mode: 'exact' }]), 'a task has a name that is none')
  must('L2.9', !areNormalised([{ kind: 'task', key: 'a', mode: 'subtree' }]), 'a task covers others')
  const all: Resource[] = KEYS.flatMap((key) => [path(key), path(key, 'subtree')])
  all.push({ kind: 'task', key: 'a', mode: 'exact' })
  for (const a of all) {
    for (const b of all) {
      const index = new OverlapIndex<{ res: Resource[] }>()
      const item = { res: [a] }
      index.add(item)
      const isCovered = covers(a, b) || covers(b, a)
      const what = `${a.kind} ${a.mode} "${a.key}" and ${b.kind} ${b.mode} "${b.key}"`
      must('L2.9', overlaps(a, b) === isCovered, `${what} ${isCovered ? 'do not' : 'do'} overlap`)
      must('L2.9', index.overlapping([b]).has(item) === isCovered, `the index says of ${what} the opposite`)
      index.remove(item)
      must('L2.9', index.overlapping([b]).size === 0, `the index keeps ${what}`)
    }
  }
  const random = createSeededRandom(1)
  const shuffled = all.map((one) => ({ one, at: random.bytes(1)[0]! })).toSorted((x, y) => x.at - y.at)
  const sorted = sortResources([...shuffled, ...shuffled].map(({ one }) => one))
  must('L2.9', sorted.length === all.length, 'the same is asked for twice')
}

/** Said again, in another way than the production code does: by the folders of the path. */
const covers = (a: Resource, b: Resource): boolean => {
  if (a.kind !== b.kind) return false
  if (a.key === b.key) return true
  const [above, below] = [a.key === '' ? [] : a.key.split('/'), b.key.split('/')]
  return a.mode === 'subtree' && above.every((segment, i) => below[i] === segment)
}
