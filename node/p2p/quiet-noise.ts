import type { ConnectionEncrypter, MessageStream, SecuredConnection } from '@libp2p/interface'
import { noise, type NoiseComponents, type NoiseExtensions, type NoiseInit } from '@libp2p/noise'

/** Of a Noise message: a 16-bit number. */
const LENGTH_BYTES = 2
/** More than are there whenever the length itself is not there yet: the decoder waits. */
const LENGTH_UNKNOWN = 0xffff

type Decoder = { lengthDecoder: (data: { readonly byteLength: number }) => number }

/**
 * Noise whose decoder does not throw: after every message it looks for the length of the next one, which is hardly ever
 * there yet, and an exception with its stack trace costs more than decrypting the message did.
 */
export function quietNoise(init: NoiseInit): (components: NoiseComponents) => ConnectionEncrypter<NoiseExtensions> {
  return (components) => {
    const encrypter = noise(init)(components)
    const secureInbound = encrypter.secureInbound.bind(encrypter)
    const secureOutbound = encrypter.secureOutbound.bind(encrypter)
    encrypter.secureInbound = async (connection, options) => quiet(await secureInbound(connection, options))
    encrypter.secureOutbound = async (connection, options) => quiet(await secureOutbound(connection, options))
    return encrypter
  }
}

function quiet<T>(secured: SecuredConnection<T>): SecuredConnection<T> {
  const decoder = decoderOf(secured.connection)
  if (decoder) {
    const { lengthDecoder } = decoder
    decoder.lengthDecoder = (data) => (data.byteLength < LENGTH_BYTES ? LENGTH_UNKNOWN : lengthDecoder(data))
  }
  return secured
}

function decoderOf(stream: MessageStream): Decoder | undefined {
  const decoder: unknown = 'decoder' in stream ? stream.decoder : undefined
  return isDecoder(decoder) ? decoder : undefined
}

const isDecoder = (value: unknown): value is Decoder =>
  typeof value === 'object' && value !== null && 'lengthDecoder' in value && typeof value.lengthDecoder === 'function'
