import { chown, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { writeSecret } from '../../../node/adapters/secret-files.ts'
import { examine } from '../../../node/cli/commands/doctor.ts'
import { Config } from '../../../node/cli/config.ts'
import { diskFindings } from '../../../node/cli/doctor-disk.ts'
import { meshFindings } from '../../../node/cli/doctor-mesh.ts'
import { checkSignIn } from '../../../node/cli/doctor-sign-in.ts'
import { processFindings } from '../../../node/cli/doctor-process.ts'
import type { Finding } from '../../../node/cli/finding.ts'
import type { HealthView, MemberHealth } from '../../../node/cli/health-view.ts'
import { identity } from '../../support/identity.ts'

const NOW = Date.parse('2026-11-27T12:00:00.000Z')
const MIB = 1024 * 1024

const LAN = { how: 'local network', failed: [] } as const

const member = (name: string, change: Partial<MemberHealth> = {}): MemberHealth => ({
  peerId: identity(1).peer,
  name,
  state: 'online',
  farewell: null,
  way: LAN,
  lastSeenAt: '2026-11-27T11:59:58.000Z',
  skewMs: 3,
  version: '0.1.0',
  problem: null,
  ...change,
})

const AWAY = {
  state: 'away',
  way: { how: 'not connected', failed: [] },
  lastSeenAt: '2026-11-27T09:00:00.000Z',
} as const

const well: HealthView = {
  version: '0.1.0',
  startedAt: '2026-11-27T11:50:00.000Z',
  isRemoved: false,
  isRefused: false,
  problems: [],
  others: [member('nas'), member('vps')],
  voters: { quorum: 2, online: 3, missing: [] },
  frozen: [],
  lagging: [],
  eventLoop: { p50Ms: 0, p99Ms: 2, maxMs: 40 },
  descriptors: { open: 60, limit: 1_048_576 },
  isLanDiscoveryOn: true,
}

const say = (findings: readonly Finding[], check: string): string =>
  findings
    .filter((finding) => finding.check === check)
    .map(({ state, found, remedy }) => `${state}: ${found}${remedy === null ? '' : ` → ${remedy}`}`)
    .join('\n')
const mesh = (change: Partial<HealthView>, check: string): string =>
  say(meshFindings({ ...well, ...change }, NOW), check)

it('finds nothing wrong with a mesh that is well', () => {
  const all = [...meshFindings(well, NOW), ...processFindings(well), ...diskFindings({ type: 0xef53, freeBytes: 9e10 })]
  expect(all.filter(({ state }) => state !== 'ok')).toEqual([])
  expect(all.map(({ check, found }) => `${check}: ${found}`)).toEqual([
    'quorum: 3 voters can be reached, 2 are needed',
    'members: all 2 others are heard',
    'event loop: at most 40 ms late',
    'open files: 60 of 1048576',
    'disk: 85830 MiB free for the data directory',
  ])
})

it('says of every finding that is not good what to do', () => {
  const sick = meshFindings(
    {
      ...well,
      isRemoved: true,
      others: [member('nas', AWAY), member('vps', { skewMs: 9000, version: '0.3.0' })],
      voters: { quorum: 2, online: 1, missing: [{ name: 'nas', lastSeenAt: null }] },
      frozen: [{ peerId: identity(1).peer, name: 'nas', reason: 'equivocation' }],
      lagging: [{ document: 'project/1', envelopes: 3, forMs: 200_000 }],
      isLanDiscoveryOn: false,
    },
    NOW,
  )
  expect(sick.length).toBeGreaterThanOrEqual(8)
  expect(sick.filter(({ state, remedy }) => state !== 'ok' && remedy === null)).toEqual([])
})

it('says what keeps this node from its work as the node says it', () => {
  const problems = ['This node may not write yet: it was restored from a backup.']
  expect(mesh({ problems }, 'this node')).toMatch(/^problem: This node may not write yet/)
})

describe('the quorum', () => {
  const voters = { quorum: 2, online: 1, missing: [{ name: 'nas', lastSeenAt: AWAY.lastSeenAt }] }

  it('is a problem when it cannot be reached, with who is missing and since when', () => {
    const missing = [...voters.missing, { name: 'vps', lastSeenAt: null }]
    expect(mesh({ voters: { ...voters, missing } }, 'quorum')).toMatch(
      /^problem: 2 voters must agree to a claim, 1 can be reached; missing: nas \(last heard 3 hours ago, at 2026-11-27T09:00:00.000Z\), vps \(not heard since this node started 10 minutes ago\)/,
    )
  })

  it('is a warning while it can do without those who are missing', () => {
    expect(mesh({ voters: { ...voters, online: 2 } }, 'quorum')).toMatch(/^warning: 2 .*if one more fails, nobody/)
    expect(mesh({ voters: { ...voters, online: 3 } }, 'quorum')).toMatch(/^warning: 3 .*→ Bring it back\.$/)
  })
})

describe('members that are away', () => {
  it.each([
    [{ ...AWAY, farewell: 'bye' }, /its node was stopped; last heard 3 hours ago.*→ Start it there/],
    [{ ...AWAY, farewell: 'sleep' }, /it went to sleep.*→ It comes back by itself/],
    [{ ...AWAY, way: LAN }, /connected, but it says nothing.*→ Look at its load/],
    [
      { ...AWAY, lastSeenAt: null },
      /no address at which it was ever reached answers; not heard since this node started/,
    ],
    [AWAY, /it does not answer any more: it is off, asleep, or its network is cut/],
    [
      { ...AWAY, way: { ...AWAY.way, failed: [{ address: '/ip4/192.0.2.7/tcp/4', error: 'refused', wallMs: NOW }] } },
      /its network is cut \(\/ip4\/192\.0\.2\.7\/tcp\/4: refused\)/,
    ],
  ] as const)('says why, as far as that is known: %o', (change, words) => {
    expect(mesh({ others: [member('nas', change), member('vps')] }, 'member nas')).toMatch(words)
  })

  it('are a problem when something is known to be wrong with them', () => {
    expect(mesh({ others: [member('nas', { problem: 'speaks sync version 9' })] }, 'member nas')).toMatch(
      /^problem: speaks sync version 9/,
    )
  })
})

describe('clocks', () => {
  it('are no matter up to five seconds', () => {
    expect(mesh({ others: [member('nas', { skewMs: -5000 })] }, 'clocks')).toBe('')
  })

  it('name who is ahead or behind', () => {
    const others = [member('nas', { skewMs: -65_000 }), member('vps'), member('pc')]
    expect(mesh({ others }, 'clocks')).toMatch(/^warning: nas is 1 minute behind → Set the clock there/)
  })

  it('accuse this machine when most others differ from it', () => {
    const others = [member('nas', { skewMs: 9000 }), member('vps', { skewMs: 9100 }), member('pc')]
    expect(mesh({ others }, 'clocks')).toMatch(
      /nas is 9 seconds ahead, vps is 9 seconds ahead: it seems to be the clock of this machine/,
    )
  })
})

describe('versions', () => {
  it.each([
    ['0.2.0', 'warning'],
    ['0.1.7', 'warning'],
    ['0.3.0', 'problem'],
    ['1.0.0', 'problem'],
  ])('of a member with %s are a %s', (version, state) => {
    const said = mesh({ others: [member('nas', { version })] }, 'version of nas')
    expect(said.startsWith(`${state}: ${version}, this machine has 0.1.0`)).toBe(true)
  })
})

it('tells a node that it has been removed, or is treated as if', () => {
  expect(mesh({ isRemoved: true, isRefused: true }, 'membership')).toMatch(
    /^problem: .*has been removed.*rookery leave/,
  )
  expect(mesh({ isRefused: true }, 'membership')).toMatch(/^problem: members hang up/)
})

it('names authors who broke the rules, and documents that lag for long', () => {
  expect(
    mesh(
      { frozen: [{ peerId: identity(1).peer, name: 'nas', reason: 'equivocation in project/1 at 7' }] },
      'author nas',
    ),
  ).toMatch(
    /^problem: .*equivocation in project\/1 at 7.*rookery remove 12D3/, // whoever pastes it pastes no name that its owner chose
  )
  const lagging = [
    { document: 'project/1', envelopes: 3, forMs: 200_000 },
    { document: 'project/2', envelopes: 9, forMs: 100_000 },
    { document: 'project/3', envelopes: 99, forMs: 1000 },
  ]
  expect(mesh({ lagging }, 'replication')).toMatch(
    /^warning: project\/2 lacks 9 changes that others have, for 1 minute and 1 more documents/,
  )
})

it('speaks of discovery only while somebody is not found', () => {
  const others = [member('nas', AWAY), member('vps', { way: { how: 'internet', failed: [] } })]
  expect(mesh({ others }, 'discovery')).toMatch(/^warning: no member is reached on the local network/)
  expect(mesh({ others, isLanDiscoveryOn: false }, 'discovery')).toMatch(/^warning: .*switched off/)
  expect(mesh({ isLanDiscoveryOn: false }, 'discovery')).toMatch(/^ok: /)
  expect(mesh({ others: [member('nas', { way: { how: 'internet', failed: [] } })] }, 'discovery')).toBe('')
})

it('warns of a blocked event loop, and of too few file descriptors', () => {
  const process = (change: Partial<HealthView>, check: string): string =>
    say(processFindings({ ...well, ...change }), check)
  expect(process({ eventLoop: { ...well.eventLoop, maxMs: 700 } }, 'event loop')).toMatch(
    /^warning: stood still for 700 ms/,
  )
  expect(process({ eventLoop: { ...well.eventLoop, maxMs: 6000 } }, 'event loop')).toMatch(
    /^problem: stood still for 6000/,
  )
  expect(process({ descriptors: { open: 10, limit: 1024 } }, 'open files')).toMatch(/^warning: 10 of 1024/)
  expect(process({ descriptors: { open: 900, limit: 1024 } }, 'open files')).toMatch(/^problem: 900 of 1024/)
  expect(process({ descriptors: null }, 'open files')).toBe('')
})

it('warns of a disk that is nearly full, and of one that is somewhere else', () => {
  const disk = (type: number, freeBytes: number): readonly string[] =>
    diskFindings({ type, freeBytes }).map(({ check, state }) => `${check} ${state}`)
  expect(disk(0xef53, 100 * MIB)).toEqual(['disk problem'])
  expect(disk(0xef53, 1000 * MIB)).toEqual(['disk warning'])
  expect(disk(0x6969, 5000 * MIB)).toEqual(['disk ok', 'file system problem'])
  expect(disk(0xff534d42, 5000 * MIB)).toEqual(['disk ok', 'file system problem'])
})

it('misses the secret of what is configured for signing in, and of nothing else', async () => {
  const dataDir = await mkdtemp(join(tmpdir(), 'rookery-doctor-'))
  try {
    expect(await checkSignIn(dataDir, Config.parse({}))).toEqual([])
    const smtp = { host: 'mail.example.org', user: 'post', from: 'nest@example.org' }
    const config = Config.parse({ oauth: { google: { clientId: 'x' } }, mail: { smtp } })
    await writeSecret(dataDir, 'smtp', 'post-office-box')
    const findings = await checkSignIn(dataDir, config)
    expect(findings.map(({ check, state, remedy }) => [check, state, remedy])).toEqual([
      ['oauth.google', 'warning', 'Run `rookery secret set oauth-google`.'],
      ['mail.smtp.user', 'ok', null],
    ])
  } finally {
    await rm(dataDir, { recursive: true })
  }
})

it('says of a data directory of another user what it is, not that it should be made writable', async () => {
  const path = await mkdtemp(join(tmpdir(), 'rk-doctor-'))
  onTestFinished(() => rm(path, { recursive: true }))
  const isRoot = process.getuid?.() === 0
  if (isRoot) await chown(path, 65_534, 65_534)
  const findings = await examine(isRoot ? path : '/')
  expect(findings.filter(({ check }) => check === 'data directory')).toMatchObject([
    {
      state: 'problem',
      found: expect.stringContaining('belongs to another user'),
      remedy: expect.stringContaining('as the user of the node'),
    },
  ])
})
