import type { LookupAddress } from 'node:dns'
import { expect, it, vi } from 'vitest'

const answers = vi.hoisted(() => ({ now: [] as LookupAddress[], asked: 0 }))
// A name that resolves to what it likes needs a name server of one's own: the only thing that is put in its place.
vi.mock('node:dns', () => ({
  lookup: (_host: string, _options: object, done: (error: null, addresses: LookupAddress[]) => void) => {
    answers.asked++
    done(null, answers.now)
  },
}))
const { createEgress } = await import('../../../node/adapters/egress.ts')

it.each([
  ['127.0.0.1', 4],
  ['10.1.2.3', 4],
  ['169.254.169.254', 4],
  ['::ffff:127.0.0.1', 6],
] as const)('[A-E1] does not connect to %s for a public name that resolves to it', async (address, family) => {
  for (const reach of ['local', 'public'] as const) {
    const egress = createEgress(reach)
    // One good address among bad ones does not help.
    answers.now = [
      { address: '93.184.215.14', family: 4 },
      { address, family },
    ]
    answers.asked = 0
    const failure = await egress.fetch('https://mcp.example.com/').catch((error: Error) => error)
    expect(failure).toMatchObject({ cause: { name: 'EgressRefusedError' } })
    expect(answers.asked).toBe(1)
    await egress.close()
  }
})
