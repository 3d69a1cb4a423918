import { once } from 'node:events'
import { connect, type ClientHttp2Session, type IncomingHttpHeaders } from 'node:http2'

/** How long a claim lasts without a keep-alive: longer than any benchmark. */
const TTL_SECONDS = 3600
const FRAME_HEADER_BYTES = 5
const OWNER = Buffer.from('bench')

export type EtcdClient = {
  /** Takes the key if nobody has it, in one transaction, under this client's lease. */
  claim(key: string): Promise<boolean>
  /** Deletes the key if it is this client's, in one transaction. */
  release(key: string): Promise<boolean>
  close(): void
}

/**
 * The little of etcd's gRPC interface that its lock recipe needs, encoded by hand: one lease for the client, then a
 * transaction per claim that puts the key, bound to the lease, if it does not exist.
 */
export async function connectEtcd(port: number): Promise<EtcdClient> {
  const session = connect(`http://127.0.0.1:${port}`)
  await once(session, 'connect')
  // LeaseGrantRequest { TTL = 1 }, LeaseGrantResponse { ID = 2 }
  const granted = await call(session, '/etcdserverpb.Lease/LeaseGrant', varintField(1, BigInt(TTL_SECONDS)))
  const lease = varintOf(granted, 2)
  if (lease === undefined) throw new Error('etcd granted no lease')
  const transact = async (compare: Buffer[], operation: Buffer): Promise<boolean> => {
    // TxnRequest { compare = 1, success = 2 }, TxnResponse { succeeded = 2 }
    const request = [bytesField(1, ...compare), bytesField(2, operation)]
    return varintOf(await call(session, '/etcdserverpb.KV/Txn', Buffer.concat(request)), 2) === 1n
  }
  return {
    async claim(key) {
      const name = Buffer.from(key)
      // Compare { result = 1: EQUAL, target = 2: CREATE, key = 3, create_revision = 5 }
      const isAbsent = [varintField(1, 0n), varintField(2, 1n), bytesField(3, name), varintField(5, 0n)]
      // PutRequest { key = 1, value = 2, lease = 3 } inside RequestOp { request_put = 2 }
      const put = [bytesField(1, name), bytesField(2, OWNER), varintField(3, lease)]
      return await transact(isAbsent, bytesField(2, ...put))
    },
    async release(key) {
      const name = Buffer.from(key)
      // Compare { result = 1: EQUAL, target = 2: VALUE, key = 3, value = 7 }
      const isMine = [varintField(1, 0n), varintField(2, 3n), bytesField(3, name), bytesField(7, OWNER)]
      // DeleteRangeRequest { key = 1 } inside RequestOp { request_delete_range = 3 }
      return await transact(isMine, bytesField(3, bytesField(1, name)))
    },
    close: () => session.destroy(),
  }
}

function call(session: ClientHttp2Session, path: string, message: Uint8Array): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const stream = session.request({
      ':method': 'POST',
      ':path': path,
      'content-type': 'application/grpc',
      te: 'trailers',
    })
    const chunks: Buffer[] = []
    let status: unknown
    // A refusal comes without a body and without trailers.
    for (const event of ['response', 'trailers'] as const)
      stream.on(event, (headers: IncomingHttpHeaders) => (status = headers['grpc-status'] ?? status))
    stream.on('data', (chunk: Buffer) => chunks.push(chunk))
    stream.on('error', reject)
    stream.on('end', () => {
      if (status === '0') resolve(Buffer.concat(chunks).subarray(FRAME_HEADER_BYTES))
      else reject(new Error(`etcd answered ${path} with gRPC status ${String(status)}`))
    })
    const header = Buffer.alloc(FRAME_HEADER_BYTES)
    header.writeUInt32BE(message.byteLength, 1)
    stream.end(Buffer.concat([header, message]))
  })
}

const varintField = (field: number, value: bigint): Buffer => Buffer.concat([varint(BigInt(field << 3)), varint(value)])

function bytesField(field: number, ...parts: readonly Uint8Array[]): Buffer {
  const body = Buffer.concat(parts)
  return Buffer.concat([varint(BigInt((field << 3) | 2)), varint(BigInt(body.length)), body])
}

function varint(value: bigint): Buffer {
  const bytes: number[] = []
  let rest = value
  for (; rest > 0x7fn; rest >>= 7n) bytes.push(Number(rest & 0x7fn) | 0x80)
  return Buffer.from([...bytes, Number(rest)])
}

/** The first varint of this field in a message. */
function varintOf(message: Buffer, wanted: number): bigint | undefined {
  let at = 0
  const read = (): bigint => {
    let value = 0n
    for (let shift = 0n; ; shift += 7n) {
      const byte = message[at++] ?? 0
      value |= BigInt(byte & 0x7f) << shift
      if (byte < 0x80) return value
    }
  }
  while (at < message.length) {
    const tag = Number(read())
    if ((tag & 7) === 0) {
      const value = read()
      if (tag >> 3 === wanted) return value
    } else {
      const length = Number(read())
      at += length
    }
  }
  return undefined
}
