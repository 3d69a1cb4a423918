import { join } from 'node:path'
import type { Context } from './benchmark.ts'
import { connectEtcd } from './etcd.ts'
import { scratchDirectory } from './mesh-lab.ts'
import { connectRedis } from './redis.ts'
import { freePort, isOnPath, startServer } from './server-process.ts'

/** Somebody else's way to let one of many win. Undefined when the program is not on this machine. */
export type ClaimPeer = {
  claim(key: string): Promise<boolean>
  release(key: string): Promise<boolean>
}

/** One etcd, which syncs every transaction to disk before it answers. */
export async function startEtcd(context: Context): Promise<ClaimPeer | undefined> {
  if (!isOnPath('etcd')) {
    context.skip('etcd is not installed (--install installs it)')
    return undefined
  }
  const [port, peerPort] = [await freePort(), await freePort()]
  const [url, peerUrl] = [`http://127.0.0.1:${port}`, `http://127.0.0.1:${peerPort}`]
  const directory = join(await scratchDirectory(context), 'etcd')
  const flags = {
    '--data-dir': directory,
    '--listen-client-urls': url,
    '--advertise-client-urls': url,
    '--listen-peer-urls': peerUrl,
    '--initial-advertise-peer-urls': peerUrl,
    '--initial-cluster': `default=${peerUrl}`,
    '--log-level': 'error',
  }
  await startServer(context, ['etcd', ...Object.entries(flags).flat()], port)
  const client = await connectEtcd(port)
  context.defer(() => client.close())
  return client
}

/**
 * One redis. `default`: nothing is on disk when it answers, as its locks are usually run; `always`: every command is
 * (`appendfsync always`).
 */
export async function startRedis(context: Context, sync: 'default' | 'always'): Promise<ClaimPeer | undefined> {
  if (!isOnPath('redis-server')) {
    if (sync === 'default') context.skip('redis is not installed (--install installs it)')
    return undefined
  }
  const port = await freePort()
  const directory = await scratchDirectory(context)
  const flags = {
    '--port': String(port),
    '--bind': '127.0.0.1',
    '--dir': directory,
    '--save': '',
    '--appendonly': sync === 'always' ? 'yes' : 'no',
    '--appendfsync': sync === 'always' ? 'always' : 'everysec',
  }
  await startServer(context, ['redis-server', ...Object.entries(flags).flat()], port)
  const client = await connectRedis(port)
  context.defer(() => client.close())
  return client
}
