/**
 * How many bytes at the end of `bytes` (0 to 3) begin a UTF-8 character that is not complete yet. Bytes that can never
 * become a character are not held back.
 */
export function incompleteTail(bytes: Uint8Array): number {
  const reach = Math.min(3, bytes.length)
  for (let back = 1; back <= reach; back++) {
    const byte = bytes[bytes.length - back] ?? 0
    const isContinuation = (byte & 0xc0) === 0x80
    if (!isContinuation) return characterLength(byte) > back ? back : 0
  }
  return 0
}

function characterLength(lead: number): number {
  if (lead >= 0xf0 && lead <= 0xf4) return 4
  if (lead >= 0xe0 && lead < 0xf0) return 3
  return lead >= 0xc2 && lead < 0xe0 ? 2 : 1
}
