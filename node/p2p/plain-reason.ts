/** Nobody answered within the time that was given. */
export class TooLateError extends Error {
  override readonly name = 'TooLateError'
}

const BY_CODE: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'nothing listens there (connection refused)',
  ECONNRESET: 'hung up during the greeting',
  EHOSTUNREACH: 'that host is not there (no route)',
  ENETUNREACH: 'no network that leads there',
  EHOSTDOWN: 'that host is down',
  ETIMEDOUT: 'no answer',
  ENOTFOUND: 'the name is unknown',
  EAI_AGAIN: 'the name could not be looked up',
  EADDRNOTAVAIL: 'this machine has no address of that kind',
}

const BY_NAME: Readonly<Record<string, string>> = {
  EncryptionFailedError: 'something else answers there, or another mesh',
  UnexpectedPeerError: 'another node answers there',
  InvalidCryptoExchangeError: 'something else answers there, or another mesh',
  ConnectionInterceptedError: 'refused: it may be full, or not know this node as a member',
  ConnectionDeniedError: 'refused: too many connections',
  InvalidPeerIdError: 'that is this node itself',
}

/** The answer of a relay, which libp2p only has as text. */
const BY_TEXT: readonly (readonly [RegExp, string])[] = [
  [/NO_RESERVATION/, 'the relay does not know a way there'],
  [/PERMISSION_DENIED/, 'the relay refused'],
  [/RESERVATION_REFUSED|RESOURCE_LIMIT_EXCEEDED/, 'the relay has no room'],
  [/CONNECTION_FAILED/, 'the relay could not reach it'],
  [/Payload identity key|does not match expected/i, 'another node answers there'],
]

/** Why a connection did not come about, for people: what libp2p and the system say where nothing better is known. */
export function plainReason(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  const text = BY_TEXT.find(([pattern]) => pattern.test(error.message))?.[1]
  if (text !== undefined) return text
  const code = 'code' in error && typeof error.code === 'string' ? BY_CODE[error.code] : undefined
  return code ?? BY_NAME[error.name] ?? error.message
}
