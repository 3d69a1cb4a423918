import { spawnSync } from 'node:child_process'
import { isOnPath } from './server-process.ts'

const PACKAGES = { etcd: 'etcd-server', 'redis-server': 'redis-server' } as const

/**
 * Installs, with Debian's apt-get, the peers that are missing. Needs to be root. What Debian's packages start
 * of their own accord is not used.
 */
export function installPeers(say: (text: string) => void): void {
  const missing = Object.entries(PACKAGES).flatMap(([program, name]) => (isOnPath(program) ? [] : [name]))
  if (missing.length === 0) return
  say(`installing ${missing.join(', ')}`)
  const { status } = spawnSync('apt-get', ['install', '-y', '--no-install-recommends', ...missing], {
    stdio: ['ignore', 2, 2],
    env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
  })
  if (status !== 0) say('apt-get could not install them: they will be skipped')
}
