/** A version 4 UUID (RFC 9562) made of 16 random bytes. */
export function uuidFromRandom(bytes: Uint8Array): string {
  const hex = Array.from(bytes.subarray(0, 16), (byte, at) => {
    const stamped = at === 6 ? (byte & 0x0f) | 0x40 : at === 8 ? (byte & 0x3f) | 0x80 : byte
    return stamped.toString(16).padStart(2, '0')
  }).join('')
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20, 32)}`
}
