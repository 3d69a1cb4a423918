import { arch, hostname, platform } from 'node:os'
import { resolve } from 'node:path'
import type { Command } from 'commander'
import { askYes, cancelled, isSomebodyHere } from '../ask-yes.ts'
import { command, print, type CommonOptions } from '../command.ts'
import { CommandFailure, EXIT } from '../exit.ts'
import { joinFromCommand, mayJoinFromCommand } from '../join-command.ts'
import type { StartedPairing } from '../pairing-client.ts'
import { createGatewayLink, parseFingerprint, parseGatewayUrl, type GatewayLink } from '../pairing-link.ts'
import { rookeryVersion } from '../version.ts'

type PairOptions = CommonOptions & { name?: string; fingerprint?: string; yes?: boolean }

export function pairCommand(): Command {
  return command('pair', 'join a mesh by a code that somebody completes at one of its gateways, instead of by a ticket')
    .argument('<gateway>', 'address of the gateway, like https://desk:8000')
    .option('--name <name>', 'name of this machine in the mesh; default: its host name')
    .option('--fingerprint <sha256>', 'the certificate that the gateway must show (`rookery status` there prints it)')
    .option('--yes', 'do not ask whether the words are the same; only where it is sure which gateway it is')
    .addHelpText('after', HELP)
    .action(async (address: string, options: PairOptions) => {
      const pin = options.fingerprint === undefined ? undefined : parseFingerprint(options.fingerprint)
      const link = createGatewayLink(parseGatewayUrl(address), pin)
      if (!options.yes && !isSomebodyHere()) throw nobodyHere()
      if (!(await mayJoinFromCommand(options)))
        throw new CommandFailure(
          'This data directory already belongs to a mesh with members, users or projects. Leave it first (`rookery leave`) or use another --data-dir.',
          EXIT.refused,
          { code: 'mesh_not_empty' },
        )
      await withInterrupt((signal) => pair(link, options, signal))
    })
}

const HELP = `
Both ends show five words. They are the same only if nobody sits in between: compare them, complete the pairing at
the gateway (its page, or \`rookery pairing complete\` there), and say here that they are the same. A code is good for
five minutes; Ctrl-C gives up.

--yes asks nothing here. It needs a gateway on this machine, a certificate that an authority vouches for, or its
--fingerprint: otherwise anybody who answers at the address could take this machine into a mesh of his own.`

async function pair(link: GatewayLink, options: PairOptions, signal: AbortSignal): Promise<void> {
  const [{ startPairing }, { openDataDirectory }, { identityOf }, { hostName }] = await Promise.all([
    import('../pairing-client.ts'),
    import('../../adapters/data-directory.ts'),
    import('../identity.ts'),
    import('../config.ts'),
  ])
  const identity = identityOf(await openDataDirectory(resolve(options.dataDir)))
  const self = {
    name: options.name ?? hostName(),
    agentInfo: {
      platform: platform(),
      hostname: hostname(),
      arch: arch(),
      node_version: process.versions.node,
      agent_version: rookeryVersion(),
    },
  }
  const started = await startPairing(link, identity, self, signal).catch((error: unknown) => {
    throw explain(error, link, signal)
  })
  try {
    if (options.yes && link.trust() === 'unknown') throw unknownGateway(link)
    announce(started, link, options)
    const letter = await started.wait(signal)
    if (!options.yes) await confirm(started.words, signal)
    const joined = await joinFromCommand({ ...options, name: letter.name }, letter.ticket)
    print(options, { status: 'completed', name: letter.name, ...joined }, () => [
      `This machine is now the member ${letter.name} of mesh ${joined.mesh_id.slice(0, 12)}.`,
      ...(joined.running ? [] : ['Start it with: rookery up']),
    ])
  } catch (error) {
    await started.cancel()
    throw explain(error, link, signal)
  }
}

function announce({ code, words, expiresAt }: StartedPairing, link: GatewayLink, options: PairOptions): void {
  const fingerprint = link.fingerprint()
  if (options.json) {
    const waiting = { status: 'pending', code, words, expires_at: expiresAt, tls_fingerprint: fingerprint }
    process.stdout.write(`${JSON.stringify(waiting)}\n`)
    return
  }
  const lines = [
    `  code    ${code}`,
    `  words   ${words}`,
    ...(fingerprint === null ? [] : [`  TLS     SHA-256 ${fingerprint}${TRUST_WORDS[link.trust()]}`]),
    '',
    `Compare the words with those at the gateway, and complete the pairing there until ${timeOf(expiresAt)}:`,
    `in the page at ${link.url.origin}, or with \`rookery pairing complete ${code}\`. Waiting; Ctrl-C gives up.`,
    '',
  ]
  process.stderr.write(lines.join('\n'))
}

const TRUST_WORDS = {
  loopback: '',
  pinned: ' (as given)',
  verified: ' (an authority vouches for it)',
  unknown: ' (nobody vouches for it: the words do)',
} as const

const timeOf = (iso: string): string => new Date(iso).toLocaleTimeString()

/** @throws CommandFailure unless a person says that both ends show the same words */
async function confirm(words: string, signal: AbortSignal): Promise<void> {
  if (await askYes(`The pairing is completed. Did the gateway show the same words (${words})?`, signal)) return
  throw new CommandFailure(
    'Nothing was joined. If the words were different, somebody sits between this machine and the gateway: use another network, or a ticket (`rookery invite` there, `rookery join` here).',
    EXIT.refused,
    { code: 'cancelled' },
  )
}

const nobodyHere = (): CommandFailure =>
  new CommandFailure(
    'Nobody is here to compare the words: run it in a terminal, or add --yes and the --fingerprint that `rookery status` shows at the gateway.',
    EXIT.usage,
  )

const unknownGateway = (link: GatewayLink): CommandFailure =>
  new CommandFailure(
    `Nobody vouches for the certificate of ${link.url.host} (SHA-256 ${link.fingerprint()}). If \`rookery status\` there shows the same, give it with --fingerprint; or leave out --yes and compare the words.`,
    EXIT.refused,
    { code: 'unknown_gateway' },
  )

/** Runs `work` until it is done or somebody presses Ctrl-C. */
async function withInterrupt(work: (signal: AbortSignal) => Promise<void>): Promise<void> {
  const interrupted = new AbortController()
  const stop = (): void => interrupted.abort(new Error('interrupted'))
  for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, stop)
  try {
    await work(interrupted.signal)
  } finally {
    for (const name of ['SIGINT', 'SIGTERM'] as const) process.off(name, stop)
  }
}

/** What went wrong, in words for a person. */
function explain(error: unknown, { url }: GatewayLink, signal: AbortSignal): unknown {
  if (signal.aborted) return cancelled()
  if (error instanceof CommandFailure || !(error instanceof Error)) return error
  const isNetwork = 'code' in error || error.name === 'AbortError' || error.name === 'TimeoutError'
  if (!isNetwork) return error
  const why = error.name === 'Error' ? error.message : 'no answer in time'
  return new CommandFailure(`The gateway at ${url.origin} cannot be reached: ${why}.`, EXIT.refused, {
    code: 'gateway_unreachable',
  })
}
