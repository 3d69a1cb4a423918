import { createFaultWatch } from '../../../node/services/leases/fault-watch.ts'
import { encodeCanonical, MalformedError } from '../../../protocols/codec.ts'
import { packCertificate } from '../../../protocols/lease/certificate.ts'
import { readFounderConfig, voterSetOf } from '../../../protocols/lease/config.ts'
import { resolveEpochs } from '../../../protocols/lease/epochs.ts'
import { EquivocationWatch, readFault } from '../../../protocols/lease/equivocation.ts'
import { packEstate, unpackEstate } from '../../../protocols/lease/estate.ts'
import { decodeFrame, encodeMessage, type LeaseMessage } from '../../../protocols/lease/frame.ts'
import type { Grant, LeaseRequest } from '../../../protocols/lease/messages.ts'
import { pack, type Signed } from '../../../protocols/lease/signing.ts'
import { crypto } from '../../support/identity.ts'
import {
  configOf,
  hex,
  path,
  peer,
  position,
  requestOf,
  signaturesOf,
  signedBy,
  space,
} from '../../support/lease-lab.ts'
import { createRecordedLog } from '../../support/log.ts'
import { acceptOf, ballotOf, prepareOf, sealedBy, sealOf, successorOf } from '../../support/succession-lab.ts'
import { never, type Target } from '../target.ts'

const config = configOf(3)
const set = voterSetOf(config)
const next = successorOf(set, [1, 2])
const signatures = signaturesOf(40)
const mesh = { space, founder: peer(1) }
const isMalformed = (error: unknown): boolean => error instanceof MalformedError
const sha256 = (bytes: Uint8Array): Uint8Array => crypto.sha256(bytes)

function grantFor(req: Signed<LeaseRequest>, voter: number, change: Partial<Grant> = {}): Signed<Grant> {
  const { epoch, lid, seq, token, ttl } = req.body
  const names = { voter: peer(voter), inc: hex(voter), reqHash: req.hash }
  const body: Grant = { v: 1, space, epoch, lid, seq, token, ttl, ...names, vseq: 1, first: 1, after: [], ...change }
  return signedBy(voter, 'grant', body)
}

const request = requestOf({ res: [path('a'), path('b', 'subtree')] }, set)
const grant = grantFor(request, 1)
const grants = [grant, grantFor(request, 2)]
const seal = sealOf(set, next, 1)

const messages: LeaseMessage[] = [
  { t: 'request', m: request },
  { t: 'grant', m: grant },
  { t: 'proof', m: grant },
  { t: 'prepare', m: prepareOf(set, 1, ballotOf(1)) },
  { t: 'accept', m: acceptOf(set, ballotOf(1), next) },
  { t: 'seal', m: seal },
  { t: 'release', m: { lid: hex(1), after: position(1, 4) } },
  { t: 'free', m: { lid: hex(1) } },
  { t: 'prove', m: { inc: hex(1), above: 3 } },
  { t: 'outbid', m: { epoch: 1, ballot: ballotOf(2) } },
  { t: 'stalled', m: { epoch: 1 } },
  { t: 'ask', m: {} },
  { t: 'pull', m: { estate: request.hash, page: 0 } },
  { t: 'page', m: { estate: request.hash, page: 0, bytes: new Uint8Array(40) } },
]
const frames = [
  ...messages.map((message) => encodeCanonical([encodeMessage(message)])),
  encodeCanonical(messages.map(encodeMessage)),
]

const { node, lid, owner, info, res, token } = request.body
const estate = packEstate(sha256, {
  grants: [{ node, lid, owner, info, res, token, seq: 1, ttlMax: 60_000, after: [position(1, 4)] }],
  after: [{ scope: 'mesh', at: position(1, 4) }],
})

function faultSample(): Uint8Array {
  const watch = new EquivocationWatch()
  const other = requestOf({ by: 22 }, set)
  watch.note({ req: request, grant })
  const fault = watch.note({ req: other, grant: grantFor(other, 1, { vseq: 1 }) })
  if (!fault) throw new Error('this should be a fault')
  return fault.bytes
}

const sealed = sealedBy(set, next, [1, 2])
const first = encodeCanonical(pack(config))
const certificates = createFaultWatch({
  signatures,
  sets: { find: () => ({ set, origin: { is: 'founded' } }), isConvicted: () => true },
  voterLog: { fault: async () => undefined },
  log: createRecordedLog(),
} as never)

export const leaseTargets: readonly Target[] = [
  {
    name: 'frame of leases',
    reach: 'a member',
    sites: [
      'protocols/lease/frame.ts decodeCanonical(Frame',
      'protocols/lease/frame.ts decodeCanonical(Outer',
      'protocols/lease/signing.ts decodeCanonical(schema',
    ],
    form: 'cbor',
    samples: frames,
    take(bytes) {
      for (const message of decodeFrame(signatures, bytes))
        if (message.t === 'request') signatures.isSignedBy(message.m.body.node, message.m)
      return true
    },
    isRefusal: isMalformed,
  },
  {
    name: 'page of an estate',
    reach: 'a member',
    sites: ['protocols/lease/estate.ts decodeCanonical(Estate'],
    form: 'cbor',
    samples: [...estate.pages],
    take: (page) => unpackEstate(sha256, { hash: sha256(page), pages: [page] }),
    isRefusal: isMalformed,
  },
  {
    name: 'first voter set',
    reach: 'a member',
    sites: ['protocols/lease/config.ts decodeCanonical(Packed'],
    form: 'cbor',
    samples: [first],
    take: (bytes) => readFounderConfig(signatures, bytes, mesh),
    isRefusal: isMalformed,
  },
  {
    name: 'later voter sets',
    reach: 'a member',
    sites: [
      'protocols/lease/epochs.ts decodeCanonical(Packed',
      'protocols/lease/epochs.ts decodeCanonical(SealCertificate',
      // Of our own making, with the same schema.
      'node/services/leases/voter-log.ts decodeCanonical(SealCertificate',
    ],
    form: 'cbor',
    samples: [sealed.bytes],
    take(bytes) {
      const records = [
        { kind: 'sealed', bytes },
        { kind: 'forced', bytes, by: peer(1) },
      ] as const
      return resolveEpochs(signatures, { ...mesh, first }, records)
    },
    isRefusal: never,
  },
  {
    name: 'proof against a voter',
    reach: 'a member',
    sites: [
      'protocols/lease/equivocation.ts decodeCanonical(Fault',
      'protocols/lease/equivocation.ts decodeCanonical(LeaseRequest',
    ],
    form: 'cbor',
    samples: [faultSample()],
    take: (bytes) => readFault(signatures, bytes),
    isRefusal: never,
  },
  {
    name: 'certificate of a lease',
    reach: 'a member',
    sites: ['node/services/leases/fault-watch.ts decodeCanonical(PackedCertificate'],
    form: 'cbor',
    samples: [encodeCanonical(packCertificate({ req: request, grants }))],
    take: (bytes) => certificates.verified(bytes),
    isRefusal: never,
  },
]
