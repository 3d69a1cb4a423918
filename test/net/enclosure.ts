import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { existsSync } from 'node:fs'

/** What the laboratory is built with, and the Debian packages that bring it. */
const TOOLS = { ip: 'iproute2', nft: 'nftables', unshare: 'util-linux', setpriv: 'util-linux', mount: 'mount' } as const

/** Where the data directories lie: in memory, and gone with the enclosure. */
const SCRATCH = '/run/lab'

/** Only the enclosure sees the new `/run`, in which `ip netns` keeps its names. */
const FURNISH = `mount -t tmpfs -o mode=0755 tmpfs /run && mkdir /run/netns ${SCRATCH} && ip link set lo up`

/** One of everything the scenarios need. */
const REHEARSAL = `
  ip netns add probe && ip link add name br-t type bridge && ip link add name v-t type veth peer name eth0 netns probe &&
  nft 'add table bridge t; add chain bridge t c { type filter hook forward priority 0; }' &&
  nft 'add rule bridge t c iifname "v-t" oifname "v-t" drop' &&
  ip netns exec probe nft 'add table ip t; add chain ip t c { type nat hook postrouting priority 100; }' &&
  ip netns exec probe nft 'add rule ip t c masquerade' && ip netns exec probe sysctl -qw net.ipv4.ip_forward=1`

/**
 * Runs a program in namespaces of its own for network, mounts and processes. What it makes there cannot be seen from
 * outside, and is gone when it ends, however it ends: the kernel takes the namespaces away with their first process,
 * which dies with this one.
 */
export function enclose(argv: readonly string[]): ChildProcess {
  const { file, args } = enclosed(`${FURNISH} && "$@"; exit $?`, argv)
  return spawn(file, args, { stdio: ['ignore', 'inherit', 'inherit'], env: { ...process.env, TMPDIR: SCRATCH } })
}

/** Why the laboratory cannot be built on this machine, or undefined when it can. */
export function obstacle(): string | undefined {
  if (process.platform !== 'linux') return `network namespaces are a thing of Linux, and this is ${process.platform}`
  const missing = missingTools()
  if (missing.length > 0)
    return `${missing.join(', ')} not found (on Debian, as root: npm run test:net -- --install, which installs ${packagesOf(missing).join(', ')})`
  const { file, args } = enclosed(`${FURNISH} && ${REHEARSAL}`, [])
  const { status, stderr } = spawnSync(file, args, { encoding: 'utf8' })
  const said = stderr.trim().split('\n')[0] ?? ''
  return status === 0 ? undefined : `the kernel or the rights of this user do not allow it (${said})`
}

/** Installs what is missing, from Debian packages only. Tells what went wrong. */
export function installTools(): string | undefined {
  const packages = packagesOf(missingTools())
  if (packages.length === 0) return undefined
  const { status, error } = spawnSync('apt-get', ['install', '-y', '--no-install-recommends', ...packages], {
    stdio: ['ignore', 2, 2],
    env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
  })
  return status === 0
    ? undefined
    : `apt-get did not install ${packages.join(', ')}: ${error?.message ?? `it ended with ${status}`}`
}

function enclosed(script: string, argv: readonly string[]): { file: string; args: string[] } {
  const asRoot = process.getuid?.() === 0 ? [] : ['--map-root-user']
  const unshare = ['unshare', ...asRoot, '-m', '-n', '-p', '--fork', '--kill-child', '--mount-proc']
  return { file: 'setpriv', args: ['--pdeathsig', 'KILL', ...unshare, 'sh', '-c', script, 'sh', ...argv] }
}

type Tool = keyof typeof TOOLS

const PATH = ['/usr/sbin', '/usr/bin', '/sbin', '/bin']

const missingTools = (): Tool[] =>
  (Object.keys(TOOLS) as Tool[]).filter((tool) => !PATH.some((directory) => existsSync(`${directory}/${tool}`)))

const packagesOf = (tools: readonly Tool[]): string[] => [...new Set(tools.map((tool) => TOOLS[tool]))]
