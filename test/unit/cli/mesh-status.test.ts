import { expect, it } from 'vitest'
import { isRefused } from '../../../node/cli/mesh-status.ts'
import { peerOf } from '../../support/libp2p-nodes.ts'

it('takes this node for removed when members hang up on it, not when one does while others stay', () => {
  const network = (refusers: number[], connected: number[]) => ({
    refusers: () => refusers.map(peerOf),
    connected: () => connected.map(peerOf),
  })
  expect(isRefused(network([1], []))).toBe(true)
  expect(isRefused(network([1], [2]))).toBe(false)
  expect(isRefused(network([], []))).toBe(false)
})
