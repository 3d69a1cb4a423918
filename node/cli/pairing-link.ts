import { once } from 'node:events'
import { request as startRequest, type IncomingMessage } from 'node:http'
import { connect as connectTcp, isIP, type Socket } from 'node:net'
import { connect as connectTls, type TLSSocket } from 'node:tls'
import { CommandFailure, EXIT } from './exit.ts'

/** No answer of pairing comes near it. */
const ANSWER_BYTES_MAX = 64 * 1024
const CONNECT_MS = 10_000
const LOOPBACK = /^(localhost|127(\.[0-9]+){3}|::1)$/

/** How sure it is who is at the other end, before any words are compared. */
export type LinkTrust =
  /** On this machine. */
  | 'loopback'
  /** The certificate has the fingerprint that was given. */
  | 'pinned'
  /** An authority that this system trusts vouches for the name. */
  | 'verified'
  /** A self-made certificate that nobody has vouched for. */
  | 'unknown'

export type LinkAnswer = { readonly status: number; readonly body: unknown; readonly retryAfterMs: number | undefined }

export type GatewayLink = {
  readonly url: URL
  readonly trust: () => LinkTrust
  /** SHA-256 of the certificate that was shown; null before the first answer, and without TLS. */
  readonly fingerprint: () => string | null
  /** One request on a connection of its own. @throws CommandFailure for a wrong certificate; what the network throws */
  readonly ask: (
    method: string,
    path: string,
    options: { token?: string; body?: object; signal: AbortSignal },
  ) => Promise<LinkAnswer>
}

/**
 * Talks to one gateway over TLS, or to one on this machine. A certificate that no authority vouches for is taken when it
 * has the fingerprint that was given, else whatever it is the first time: from then on it must stay the same.
 */
export function createGatewayLink(url: URL, pin: string | undefined): GatewayLink {
  let pinned = pin
  let shown: string | null = null
  let trust: LinkTrust = url.protocol === 'http:' ? 'loopback' : 'unknown'
  const check = (socket: TLSSocket): void => {
    const { fingerprint256: found } = socket.getPeerX509Certificate() ?? {}
    if (found === undefined) throw new CommandFailure('The gateway has shown no certificate.', EXIT.refused)
    if (pinned !== undefined && found !== pinned) throw wrongCertificate(found, pinned)
    shown = found
    trust = pin !== undefined ? 'pinned' : socket.authorized ? 'verified' : isLoopback(url) ? 'loopback' : 'unknown'
    // One that an authority vouches for may be renewed meanwhile.
    if (trust !== 'verified') pinned = found
  }
  return {
    url,
    trust: () => trust,
    fingerprint: () => shown,
    async ask(method, path, { token, body, signal }) {
      const socket = await connect(url, AbortSignal.any([signal, AbortSignal.timeout(CONNECT_MS)]))
      try {
        if (isTls(socket)) check(socket)
        return await exchange(socket, { method, path, host: url.host, token, body, signal })
      } finally {
        socket.destroy()
      }
    },
  }
}

/** @throws CommandFailure for what is no address of a gateway, or would send things readable over a network */
export function parseGatewayUrl(text: string): URL {
  const withScheme = /^[a-z]+:\/\//i.test(text) ? text : `https://${text}`
  const url = URL.parse(withScheme)
  if (!url || !['http:', 'https:'].includes(url.protocol) || url.username !== '' || url.search !== '')
    throw new CommandFailure('Give the address of a gateway, like https://desk:8000.', EXIT.usage)
  if (url.protocol === 'http:' && !isLoopback(url))
    throw new CommandFailure(
      'Pairing takes TLS, or a gateway on this machine: start the gateway with --tls auto, and give an https address.',
      EXIT.usage,
    )
  return url
}

/** A fingerprint as people copy it: with or without colons, any case. @throws CommandFailure */
export function parseFingerprint(text: string): string {
  const hex = text.replaceAll(/[\s:]/g, '').toUpperCase()
  if (!/^[0-9A-F]{64}$/.test(hex))
    throw new CommandFailure(
      '--fingerprint: give the 64 digits that `rookery status` of the gateway shows.',
      EXIT.usage,
    )
  return (hex.match(/../g) ?? []).join(':')
}

const hostOf = ({ hostname }: URL): string => hostname.replace(/^\[(.*)\]$/, '$1')
const isLoopback = (url: URL): boolean => LOOPBACK.test(hostOf(url))
const isTls = (socket: Socket): socket is TLSSocket => 'encrypted' in socket

async function connect(url: URL, signal: AbortSignal): Promise<Socket> {
  const host = hostOf(url)
  const isPlain = url.protocol === 'http:'
  const port = Number(url.port) || (isPlain ? 80 : 443)
  // Whether the certificate is the right one is for `check` to say, before anything is sent.
  const socket = isPlain
    ? connectTcp({ host, port })
    : connectTls({ host, port, rejectUnauthorized: false, ...(isIP(host) === 0 ? { servername: host } : {}) })
  try {
    await once(socket, isPlain ? 'connect' : 'secureConnect', { signal })
    return socket
  } catch (error) {
    socket.destroy()
    throw error
  }
}

async function exchange(
  socket: Socket,
  request: {
    method: string
    path: string
    host: string
    token: string | undefined
    body: object | undefined
    signal: AbortSignal
  },
): Promise<LinkAnswer> {
  const { method, path, host, token, body, signal } = request
  const text = body === undefined ? '' : JSON.stringify(body)
  const headers = {
    host,
    ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
    ...(body === undefined ? {} : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) }),
  }
  const outgoing = startRequest({ createConnection: () => socket, method, path, headers, signal })
  outgoing.end(text)
  const [answer] = (await once(outgoing, 'response', { signal })) as [IncomingMessage]
  const parts: Buffer[] = []
  let size = 0
  for await (const part of answer) {
    size += part.length
    if (size > ANSWER_BYTES_MAX) throw new Error('the gateway answers more than pairing has to say')
    parts.push(part)
  }
  const seconds = Number(answer.headers['retry-after'])
  return {
    status: answer.statusCode ?? 0,
    body: bodyOf(Buffer.concat(parts).toString('utf8')),
    retryAfterMs: seconds > 0 ? seconds * 1000 : undefined,
  }
}

/** Undefined for what is no JSON. */
export function bodyOf(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

const wrongCertificate = (found: string, wanted: string): CommandFailure =>
  new CommandFailure(
    `The gateway shows a certificate with SHA-256 ${found}, not ${wanted}. Something may sit between this machine and it. Compare with \`rookery status\` there.`,
    EXIT.refused,
    { code: 'wrong_certificate' },
  )
