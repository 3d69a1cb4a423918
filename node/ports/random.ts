/** Cryptographically secure in production, seeded in the simulator. */
export interface Random {
  bytes(count: number): Uint8Array
}

/** A uniform number in [0, 1), for jitter. */
export function randomFraction(random: Random): number {
  const [a = 0, b = 0, c = 0, d = 0] = random.bytes(4)
  return (a * 2 ** 24 + b * 2 ** 16 + c * 2 ** 8 + d) / 2 ** 32
}
