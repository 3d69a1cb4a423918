import { expect, it } from 'vitest'
import { encodeIntroduction, readIntroduction } from '../../../node/p2p/introduction.ts'
import { MalformedError } from '../../../protocols/codec.ts'
import { peerOf } from '../../support/libp2p-nodes.ts'

async function introducedAs(agent: string): Promise<string> {
  async function* frames() {
    yield encodeIntroduction({ agent, addresses: [], observed: undefined, protocols: [] }, [])
  }
  const rest = { peer: peerOf(1), send: async () => undefined, close: async () => undefined, abort: () => undefined }
  return (await readIntroduction({ ...rest, frames: frames() })).agent
}

it('does not take for a program what would move the cursor of whoever lists the machines', async () => {
  expect(await introducedAs('rookery/1.2.3 (Häuschen)')).toBe('rookery/1.2.3 (Häuschen)')
  for (const agent of ['\u001b[2J', 'rookery\r', 'a\u202eb', ''])
    await expect(introducedAs(agent)).rejects.toThrow(MalformedError)
})
