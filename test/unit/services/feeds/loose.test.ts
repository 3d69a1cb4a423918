import { expect, it } from 'vitest'
import { Loose, LOOSE_BYTES_MAX } from '../../../../node/services/feeds/loose.ts'
import type { Fork } from '../../../../node/services/feeds/replica.ts'
import { toHex } from '../../../../protocols/codec.ts'
import type { Envelope } from '../../../../protocols/feed/envelope.ts'
import { Forger, setKey, updateBy } from '../../../support/replicas.ts'

const createFork = (): Fork => ({ seq: 1, kept: new Map(), parts: 0, proof: [new Uint8Array(), new Uint8Array()] })

/** Keeps `count` envelopes of a fork, each of about 100 kB, and returns them. */
function fill(loose: Loose, fork: Fork, count: number): Envelope[] {
  const forger = new Forger(1)
  const update = updateBy(5, setKey('key', 'x'.repeat(100_000)))
  return Array.from({ length: count }, () => {
    const envelope = forger.seal(update)
    fork.kept.set(toHex(envelope.hash), envelope)
    loose.add(fork, envelope)
    return envelope
  })
}

it('[M12] [A-C1] keeps branches that nobody builds on within its bound, at the cost of the fork that has the most', () => {
  const loose = new Loose(1024 * 1024)
  const [small, large] = [createFork(), createFork()]
  fill(loose, large, 8)
  const kept = fill(loose, small, 3)
  expect([large.kept.size, small.kept.size, loose.of(large), loose.of(small)]).toEqual([0, 3, undefined, new Set(kept)])
  fill(loose, large, 7)
  expect([large.kept.size, small.kept.size]).toEqual([7, 3])
})

it('[M12] does not drop what something builds on', () => {
  const loose = new Loose(1024 * 1024)
  const [settled, other] = [createFork(), createFork()]
  loose.settle(settled, fill(loose, settled, 9))
  fill(loose, other, 11)
  expect([settled.kept.size, other.kept.size]).toEqual([9, 0])
})

it('[A-C2] allows a quarter of a gigabyte', () => {
  expect(LOOSE_BYTES_MAX).toBe(256 * 1024 * 1024)
})
