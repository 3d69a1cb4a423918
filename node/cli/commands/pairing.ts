import type { Command } from 'commander'
import { typedPairingCode } from '../../../protocols/pairing.ts'
import type { CompletedPairing, PendingPairing } from '../../services/pairing/pairing.ts'
import { askYes, isSomebodyHere } from '../ask-yes.ts'
import { ask, command, group, print, table, type CommonOptions } from '../command.ts'
import { CommandFailure, EXIT } from '../exit.ts'
import { say } from '../say.ts'

export function pairingCommand(): Command {
  return group('pairing', 'machines that want to be paired with this mesh: show them, complete or refuse one')
    .addCommand(list(), { isDefault: true })
    .addCommand(complete())
    .addCommand(refuse())
}

type Pending = { readonly pairings: readonly PendingPairing[]; readonly unreachable: readonly string[] }

function list(): Command {
  return command('list', 'show what waits at any gateway of the mesh').action(async (options: CommonOptions) => {
    const { pairings, unreachable } = await ask<Pending>(options, 'pairing.list')
    print(options, { pairings: pairings.map(wirePending), unreachable }, () => [
      ...(pairings.length === 0 ? ['No machine waits.'] : table([HEADINGS, ...pairings.map(pendingRow)])),
      ...unreachable.map((name) => `! The gateway of ${name} did not answer.`),
    ])
  })
}

type CompleteOptions = CommonOptions & { name?: string; words?: string; allowLegacy?: boolean }

function complete(): Command {
  return command('complete', 'let the machine in that shows this code')
    .argument('<code>', 'the code that it shows')
    .option('--name <name>', 'name of the machine in the mesh; default: the one it asks for')
    .option('--words <words>', 'the five words that the machine shows, instead of being asked about them')
    .option('--allow-legacy', 'give its token to whoever polls with the code: for agents that cannot prove themselves')
    .addHelpText('after', COMPLETE_HELP)
    .action(async (typed: string, options: CompleteOptions) => {
      const words = options.words ?? (await comparedWords(options, typed))
      const { machine, code, completedAt } = await ask<CompletedPairing>(options, 'pairing.complete', {
        code: typed,
        allowLegacy: options.allowLegacy ?? false,
        ...(options.name === undefined ? {} : { name: options.name }),
        ...(words === undefined ? {} : { words }),
      })
      print(options, { machine, pairing: { code, completed_at: completedAt } }, () => [
        words === undefined
          ? `${machine.name} is a machine of this mesh; it fetches its token in a moment.`
          : `${machine.name} may join; it is a member as soon as somebody there says that the words are the same.`,
      ])
    })
}

const COMPLETE_HELP = `
A machine that runs \`rookery pair\` becomes a member: it shows five words, and those shown here must be the same. Any
other agent gets a token of a machine's abilities. With --allow-legacy that token goes to the first who asks with the
code alone, so make sure that nobody else has seen it.`

function refuse(): Command {
  return command('refuse', 'turn away the machine that waits under this code')
    .argument('<code>', 'the code that it waits under')
    .action(async (code: string, options: CommonOptions) => {
      await ask<null>(options, 'pairing.refuse', { code })
      print(options, null, () => ['The machine is told that it was refused.'])
    })
}

/** The words of a node, once a person has seen them; undefined for an agent, which has none. @throws CommandFailure */
async function comparedWords(options: CompleteOptions, typed: string): Promise<string | undefined> {
  const { pairings } = await ask<Pending>(options, 'pairing.list')
  const pending = pairings.find(({ code }) => code === typedPairingCode(typed))
  // What is wrong with the code, or missing from it, the node says itself.
  if (pending === undefined || pending.words === null) return undefined
  if (!isSomebodyHere())
    throw new CommandFailure(
      'Nobody is here to compare the words: run it in a terminal, or add --words "…" as the machine shows them.',
      EXIT.usage,
    )
  say(
    `${pending.name} (${pending.platform}, ${pending.address}) asks to become a member.`,
    '',
    `  ${pending.words}`,
    '',
  )
  if (!(await askYes('Does it show these words?')))
    throw new CommandFailure(
      `Nothing was done; ${pending.name} still waits. If the words are different, somebody sits in between: \`rookery pairing refuse ${pending.code}\`.`,
      EXIT.refused,
      { code: 'cancelled' },
    )
  return pending.words
}

const HEADINGS = ['CODE', 'WANTS', 'NAME', 'PLATFORM', 'FROM', 'AT', 'UNTIL', 'WORDS']

const pendingRow = (pending: PendingPairing): string[] => [
  pending.code,
  pending.kind === 'node' ? 'membership' : 'token',
  pending.name || '-',
  pending.platform || '-',
  pending.address,
  pending.gateway,
  new Date(pending.expiresAt).toLocaleTimeString(),
  pending.words ?? '-',
]

const wirePending = ({ expiresAt, ...pending }: PendingPairing): object => ({ ...pending, expires_at: expiresAt })
