import type { SyncNode } from '../../../support/sync-lab.ts'
import { createPulse, createSyncLab } from '../../../support/sync-lab.ts'
import { identity } from '../../../support/identity.ts'
import { contentOf, PROJECT, setKey } from '../../../support/replicas.ts'
import type { Report, Scenario } from '../scenario.ts'

export const passingOnScenarios: readonly Scenario[] = [
  {
    id: 'deaf-in-one-direction',
    says: 'News gets around a connection that is dead in one direction as soon as the silence is noticed.',
    run: deafInOneDirection,
  },
]

async function deafInOneDirection({ must }: Report): Promise<void> {
  const lab = createSyncLab(3)
  const node = (n: number): Promise<SyncNode> => lab.node(n, { presence: createPulse(lab.time, identity(n).peer) })
  const [ash, birch, cedar] = [await node(0), await node(1), await node(2)]
  const has = async (key: string): Promise<boolean> => Object.hasOwn((await contentOf(birch)) as object, key)
  const write = async (key: string): Promise<void> => {
    await ash.documents.write(PROJECT, undefined, setKey(key, 1))
    await lab.quiet()
  }
  await lab.connect(ash.peer, birch.peer)
  await lab.connect(birch.peer, cedar.peer)
  await lab.connect(cedar.peer, ash.peer)
  // A round, so that the next one is half a minute away.
  await lab.time.advance(31_000)
  lab.network.lose(ash.peer, birch.peer)
  await write('before')
  await lab.time.advance(9000)
  await lab.quiet()
  must('M17', await has('before'), 'what was said into the void waits for the next round')
  await write('after')
  must('M17', await has('after'), 'nobody passes on what the deaf one does not hear')
}
