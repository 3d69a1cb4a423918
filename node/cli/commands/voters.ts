import { resolve } from 'node:path'
import type { Command } from 'commander'
import type { ElectorateView, ElectorView } from '../../services/voters/electorate-service.ts'
import { askYes, isSomebodyHere } from '../ask-yes.ts'
import { ask, command, group, print, type CommonOptions } from '../command.ts'
import { CommandFailure, EXIT } from '../exit.ts'
import { say } from '../say.ts'
import { choiceWarnings, electorateLines, wireElectorate } from '../voters-words.ts'

export function votersCommand(): Command {
  return group(
    'voters',
    'the machines whose agreement makes a claim: show them (`list`), choose others (`set`), or start over on this one (`reset`)',
  )
    .addCommand(list(), { isDefault: true })
    .addCommand(set())
    .addCommand(reset())
}

function list(): Command {
  return command('list', 'show who votes, who could, and what would be better').action(
    async (options: CommonOptions) => {
      const view = await ask<ElectorateView>(options, 'voters.view')
      print(options, wireElectorate(view), () => electorateLines(view))
    },
  )
}

type SetOptions = CommonOptions & { force?: boolean; reason?: string; yes?: boolean }

function set(): Command {
  return command('set', 'choose the voters: a quorum of the present ones has to agree')
    .argument('<member...>', 'names or peer ids of all voters there shall be')
    .option('--force', 'do not ask the present voters; only when a quorum of them is gone for good')
    .option('--reason <text>', 'why, for whoever reads the log of the mesh later (with --force)')
    .option('--yes', 'do not ask whether you are sure (with --force)')
    .addHelpText('after', SET_HELP)
    .action(async (members: string[], options: SetOptions) => {
      const force = forceOf(options)
      const before = await ask<ElectorateView>(options, 'voters.view')
      say(...explanation(members, before, force !== undefined))
      if (force !== undefined && !options.yes) await confirm('Install these voters by force?')
      const after = await withProgress(options, () => ask<ElectorateView>(options, 'voters.set', { members, ...force }))
      print(options, wireElectorate(after), () => electorateLines(after))
    })
}

const SET_HELP = `
Live claims and locks are carried over. Nothing changes unless a quorum of the present voters agrees and every new
voter can be reached; Ctrl-C gives up. Needs \`admin\`. Three voters tolerate one that is down, five tolerate two.

With --force the present voters are not asked. Should some of them be alive somewhere, they and the new ones may give
one claim to two machines until their networks meet; fencing tokens then refuse what the earlier holder writes. The
new voters grant nothing until every earlier claim must have run out (about 11 minutes).`

function forceOf({ force, reason }: SetOptions): { force: { reason: string } } | undefined {
  if (force && reason === undefined)
    throw new CommandFailure('--force needs --reason "…": others will want to know why.', EXIT.usage)
  if (!force && reason !== undefined) throw new CommandFailure('--reason goes with --force.', EXIT.usage)
  return reason === undefined ? undefined : { force: { reason } }
}

function explanation(members: readonly string[], { machines, quorum }: ElectorateView, isForced: boolean): string[] {
  const voters = machines.filter(({ voter }) => voter)
  const names = (all: readonly ElectorView[]): string => all.map(({ name }) => name).join(', ')
  const chosen = machines.filter(({ peerId, name }) => members.includes(peerId) || members.includes(name))
  const how = isForced
    ? [
        `The present voters (${names(voters)}) are not asked. If any of them is alive somewhere, two machines may hold`,
        'one claim until the networks meet; then the later one counts, and what the earlier one writes is refused.',
        'New claims wait until every earlier one must have run out, about 11 minutes.',
      ]
    : [
        `Asking the present voters (${names(voters)}): ${quorum} of ${voters.length} must agree, and every new voter must be reachable.`,
        'Live claims and locks are carried over. Ctrl-C gives up.',
      ]
  return [...how, ...choiceWarnings(new Set(members).size, chosen)]
}

const RESET_HELP = `
For a machine whose disk was put back to an earlier state: a snapshot of a virtual machine, an image, a copied folder.
What it has promised since then it does not know, so it may promise the same to somebody else. Stop the node, reset its
voter, start it: its vote counts again once \`rookery voters set\` has named it. \`rookery restore\` does this by itself.`

function reset(): Command {
  return command('reset', 'make the voter of this stopped node another one, after its disk was put back')
    .option('--yes', 'do not ask whether you are sure')
    .addHelpText('after', RESET_HELP)
    .action(async (options: CommonOptions & { yes?: boolean }) => {
      say('Its vote will not count until `rookery voters set` names this machine again.')
      if (!options.yes) await confirm('Give the voter of this node a new identity?')
      const { resetVoter } = await import('../resetting-voter.ts')
      const { mesh, incarnation } = await resetVoter(resolve(options.dataDir))
      print(options, { mesh_id: mesh, incarnation }, () => [
        'The voter of this node has a new identity: what it signed before is not its word any more.',
        'Start the node (`rookery up`). If it is to vote again, an admin names all voters: `rookery voters set …`.',
        'If the voters that are left are no majority, for one because it was the only one, add --force --reason "reset".',
      ])
    })
}

/** @throws CommandFailure unless a person says yes. */
async function confirm(question: string): Promise<void> {
  if (!isSomebodyHere()) throw new CommandFailure('Nobody is here to ask whether this is meant: add --yes.', EXIT.usage)
  if (!(await askYes(question))) throw new CommandFailure('Nothing was changed.', EXIT.refused, { code: 'cancelled' })
}

const PROGRESS_MS = 5000

/** Says who is being waited for while `work` takes its time. */
async function withProgress<T>(options: CommonOptions, work: () => Promise<T>): Promise<T> {
  const tick = setInterval(() => {
    ask<ElectorateView>(options, 'voters.view').then(
      ({ machines }) => say(waitingWords(machines)),
      () => undefined, // the work itself says what is wrong
    )
  }, PROGRESS_MS)
  try {
    return await work()
  } finally {
    clearInterval(tick)
  }
}

function waitingWords(machines: readonly ElectorView[]): string {
  const away = machines.filter(({ online }) => !online).map(({ name }) => name)
  return away.length === 0 ? 'Still waiting for answers.' : `Still waiting; offline: ${away.join(', ')}.`
}
