import { markRestored } from '../../node/services/feeds/restoration.ts'
import type { MemoryStore } from './memory-store.ts'
import {
  createMembership,
  createTestReplica,
  PROJECT,
  setKey,
  sync,
  type TestMembership,
  type TestReplica,
} from './replicas.ts'

export const put = (replica: TestReplica, key: string) => replica.documents.write(PROJECT, undefined, setKey(key, key))

/** The first replica, on a store that came from a backup. */
export async function restored(membership: TestMembership, backup: MemoryStore): Promise<TestReplica> {
  await markRestored(backup, { nowMs: 2, asOf: 1 })
  return await createTestReplica(0, membership, backup)
}

/** What `teller` says about `node`, as the restored service brings it. */
export async function testify(teller: TestReplica, node: TestReplica, isElsewhere = false): Promise<void> {
  const heads = teller.documents.headsOf(node.peer)
  await node.documents.restoration.heard(teller.peer, { heads, members: [teller.peer, node.peer], isElsewhere })
}

/** Three replicas; the first has written before and after its backup, and only the second has all of it. */
export async function afterBackup() {
  const membership = createMembership(3)
  const [a, b, c] = [
    await createTestReplica(0, membership),
    await createTestReplica(1, membership),
    await createTestReplica(2, membership),
  ]
  await put(a, 'before')
  await sync(a, b)
  await sync(a, c)
  const backup = a.store.copy()
  await put(a, 'after')
  await sync(a, b)
  return { membership, a, b, c, backup }
}
