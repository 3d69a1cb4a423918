import type { Command } from 'commander'
import { CAPABILITIES, Capability, DEFAULT_CAPABILITIES } from '../../../crdt/capability.ts'
import type { MemberView, RemovedView, MeshStatus } from '../../services/membership/mesh-service.ts'
import { ask, command, parseDuration, print, table, type CommonOptions } from '../command.ts'
import type { CertificateView } from '../control-method.ts'
import { CommandFailure, EXIT } from '../exit.ts'
import type { ElectorateView } from '../../services/voters/electorate-service.ts'
import type { Woken } from '../../services/machines/wake-service.ts'
import { isProcessThere } from '../../adapters/process-lock.ts'
import { hasGone } from '../has-gone.ts'
import { joinFromCommand } from '../join-command.ts'
import { forcedWords, quorumWords } from '../voters-words.ts'

export const meshCommands = (): Command[] => [invite(), join(), members(), wake(), remove(), leave(), status(), down()]

function invite(): Command {
  return command('invite', 'print a single-use ticket that lets one machine join this mesh')
    .option('--capabilities <list>', `comma-separated, of ${CAPABILITIES.join(', ')}`, DEFAULT_CAPABILITIES.join(','))
    .option('--admin', 'also grant admin and admit')
    .option('--vote', 'also make the machine eligible as a lease voter')
    .option('--expires <duration>', 'how long the ticket is good, like 30m or 24h', parseDuration, parseDuration('24h'))
    .action(async (options: CommonOptions & InviteOptions) => {
      const capabilities = parseCapabilities(options)
      const { ticket, expiresAt } = await ask<{ ticket: string; expiresAt: string }>(options, 'mesh.invite', {
        capabilities,
        expiresInMs: options.expires,
      })
      const picture = process.stdout.isTTY && !options.json ? await qrCodeOf(ticket) : ''
      if (picture)
        process.stderr.write(`${picture}\nOn the other machine: rookery join <ticket>   (good until ${expiresAt})\n`)
      print(options, { ticket, expires_at: expiresAt }, () => [ticket])
    })
}

type InviteOptions = { capabilities: string; admin?: boolean; vote?: boolean; expires: number }

function parseCapabilities(options: InviteOptions): Capability[] {
  const names = options.capabilities
    .split(',')
    .map((name) => name.trim())
    .filter((name) => name !== '')
  const unknown = names.find((name) => !Capability.safeParse(name).success)
  if (unknown !== undefined)
    throw new CommandFailure(`--capabilities: ${unknown} is none of ${CAPABILITIES.join(', ')}.`, EXIT.usage)
  const all = [...names, ...(options.admin ? ['admin', 'admit'] : []), ...(options.vote ? ['vote'] : [])]
  return [...new Set(all)].map((name) => Capability.parse(name))
}

function join(): Command {
  return command('join', 'join the mesh that a ticket invites to')
    .option('--name <name>', 'name of this machine in the mesh; default: its host name')
    .argument('<ticket>', 'the line that `rookery invite` printed, or - to read it from standard input')
    .action(async (given: string, options: CommonOptions & { name?: string }) => {
      const ticket = (given === '-' ? await readStandardInput() : given).trim()
      const joined = await joinFromCommand(options, ticket)
      print(options, joined, () => [
        `This machine is now a member of mesh ${joined.mesh_id.slice(0, 12)}.`,
        ...(joined.running ? [] : ['Start it with: rookery up']),
      ])
    })
}

async function qrCodeOf(ticket: string): Promise<string> {
  const { toString } = await import('qrcode')
  return await toString(ticket, { type: 'terminal', small: true })
}

async function readStandardInput(): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of process.stdin) chunks.push(chunk)
  return Buffer.concat(chunks).toString('utf8')
}

function members(): Command {
  return command('members', 'list the machines of this mesh').action(async (options: CommonOptions) => {
    const { members: all } = await ask<MeshStatus>(options, 'mesh.status')
    print(options, all.map(wireMember), () => table([MEMBER_HEADINGS, ...all.map(memberRow)]))
  })
}

function remove(): Command {
  return command('remove', 'remove a machine from this mesh for good')
    .argument('<member>', 'its name or peer id')
    .action(async (member: string, options: CommonOptions) => {
      const removed = await ask<RemovedView>(options, 'mesh.remove', { member })
      const { couldRead } = removed
      print(options, { ...wireMember(removed), could_read: couldRead }, () => [
        `${removed.name} (${removed.peerId}) is removed. Its connections are closed and what it signs from now on is refused.`,
        'A member that is cut off from this one learns of it when it is back. What the removed one could read:',
        ...couldRead.map(({ what, remedy }) => `  ${what}\n    → ${remedy}`),
      ])
    })
}

function wake(): Command {
  return command('wake', 'wake a sleeping machine, through members that are awake on its network')
    .argument('<machine>', 'name, machine id or peer id')
    .action(async (machine: string, options: CommonOptions) => {
      const { machine: woken, by } = await ask<Woken>(options, 'machine.wake', { machine })
      print(options, { machine_id: woken.id, name: woken.name, sent_by: by }, () => [
        `${by.join(', ')} sent the packet that wakes ${woken.name}. It is online in a moment, if it lets itself be woken.`,
      ])
    })
}

function leave(): Command {
  return command(
    'leave',
    'take this machine out of its mesh (its sessions end) and start an empty one with a new key',
  ).action(async (options: CommonOptions) => {
    await ask<null>(options, 'mesh.leave')
    print(options, null, () => ['This machine has left its mesh.'])
  })
}

function status(): Command {
  return command('status', 'show the state of this node and its mesh').action(async (options: CommonOptions) => {
    const state = await ask<StatusView>(options, 'mesh.status')
    print(options, wireStatus(state), () => [
      ...table([
        ['mesh', state.meshId],
        ['node', `${state.name} (${state.peerId})`],
        ['gateway', state.http ?? 'none'],
        ...(state.certificate === null ? [] : [['certificate', certificateWords(state.certificate)]]),
        ...(state.setupCode === undefined ? [] : [['setup code', `${state.setupCode} (makes the first user)`]]),
        ['voters', `${voterNames(state.electorate)} (epoch ${state.electorate.epoch})`],
        ['claims', quorumWords(state.electorate)],
        ['documents', `${state.documents.length}`],
      ]),
      '',
      ...table([MEMBER_HEADINGS, ...state.members.map(memberRow)]),
      ...[...state.problems, ...state.electorate.problems].map((problem) => `! ${problem}`),
      ...forcedWords(state.electorate),
    ])
  })
}

type StatusView = MeshStatus & { readonly electorate: ElectorateView; readonly certificate: CertificateView | null }

const certificateWords = ({ fingerprint, validUntil }: CertificateView): string =>
  `SHA-256 ${fingerprint}, good until ${validUntil.slice(0, 10)}`

const voterNames = ({ machines }: ElectorateView): string =>
  machines.flatMap(({ voter, name }) => (voter ? [name] : [])).join(', ') || 'none'

function down(): Command {
  return command('down', 'stop the running node; its sessions go on unless told otherwise')
    .option('--kill-sessions', 'also end every session on this machine')
    .action(async (options: CommonOptions & { killSessions?: boolean }) => {
      const { pid } = await ask<{ pid: number }>(options, 'node.down', { killSessions: options.killSessions ?? false })
      if (!(await hasGone(pid, isProcessThere)))
        throw new CommandFailure(`The node (process ${pid}) is still stopping: its log says why.`, EXIT.refused)
      print(options, null, () => ['The node has stopped.'])
    })
}

const MEMBER_HEADINGS = ['NAME', 'STATE', 'REACHED BY', 'RTT', 'VOTER', 'CAPABILITIES', 'PEER ID']

const memberRow = (member: MemberView): string[] => [
  member.name,
  member.problem ?? (member.online ? 'online' : 'offline'),
  member.reachedBy ?? '-',
  member.rttMs === null ? '-' : `${member.rttMs.toFixed(1)} ms`,
  member.voter ? 'yes' : 'no',
  member.capabilities.join(','),
  member.peerId,
]

const wireMember = (member: MemberView): object => ({
  peer_id: member.peerId,
  name: member.name,
  online: member.online,
  reached_by: member.reachedBy,
  rtt_ms: member.rttMs,
  voter: member.voter,
  capabilities: member.capabilities,
  last_seen_at: member.lastSeenAt,
  problem: member.problem,
})

const wireStatus = (status: StatusView): object => ({
  mesh_id: status.meshId,
  peer_id: status.peerId,
  name: status.name,
  http: status.http,
  certificate: status.certificate && {
    fingerprint: status.certificate.fingerprint,
    valid_until: status.certificate.validUntil,
  },
  members: status.members.map(wireMember),
  voters: status.voters,
  epoch: status.electorate.epoch,
  quorum: status.electorate.quorum,
  documents: status.documents,
  problems: [...status.problems, ...status.electorate.problems],
  ...(status.setupCode === undefined ? {} : { setup_code: status.setupCode }),
})
