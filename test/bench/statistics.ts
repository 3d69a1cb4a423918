/** The value that this share of the samples does not exceed. @throws when there are none */
export function quantile(samples: readonly number[], share: number): number {
  const sorted = samples.toSorted((a, b) => a - b)
  const value = sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))]
  if (value === undefined) throw new Error('no samples')
  return value
}

/** Robust against the odd sample that another process disturbed. */
export const median = (samples: readonly number[]): number => quantile(samples, 0.5)

/** For rates that were measured in alternation: each is free of what disturbed the others. */
export async function medianOfRounds(rounds: number, measure: (round: number) => Promise<number>): Promise<number> {
  const results: number[] = []
  for (let round = 0; round < rounds; round++) results.push(await measure(round))
  return median(results)
}

/** CLOCK_MONOTONIC in microseconds: the same in every process of this machine. */
export const nowMicros = (): number => Number(process.hrtime.bigint()) / 1000

/** Durations, in microseconds, of one call after the other. */
export async function timeEach(count: number, call: (index: number) => Promise<unknown>): Promise<number[]> {
  const durations: number[] = []
  for (let index = 0; index < count; index++) {
    const began = nowMicros()
    await call(index)
    durations.push(nowMicros() - began)
  }
  return durations
}

/** Calls per second with so many of them under way at any time. */
export async function ratePerSecond(
  count: number,
  inFlight: number,
  call: (index: number) => Promise<unknown>,
): Promise<number> {
  let next = 0
  const began = nowMicros()
  const worker = async (): Promise<void> => {
    while (next < count) await call(next++)
  }
  await Promise.all(Array.from({ length: inFlight }, worker))
  return (count / (nowMicros() - began)) * 1e6
}
