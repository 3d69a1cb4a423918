import { resolve } from 'node:path'
import type { Command } from 'commander'
import { ask, command, print, type CommonOptions } from '../command.ts'
import type { RestoredView } from '../restored-view.ts'
import { collect } from './work-flags.ts'

export const backupCommands = (): Command[] => [backup(), restore(), restored()]

const PASSPHRASE_HELP = `
The passphrase is asked for without being shown, or read from standard input; it is written nowhere. Without it
nobody, you included, can read the backup.`

function backup(): Command {
  return command('backup', 'write everything of this node into one encrypted file, while it runs or not')
    .argument('<file>', 'where to; it must not exist')
    .addHelpText('after', PASSPHRASE_HELP)
    .action(async (file: string, options: CommonOptions) => {
      const { backUp } = await import('../backing-up.ts')
      const { readPassphrase } = await import('../read-words.ts')
      const written = await backUp(resolve(file), options, () => readPassphrase({ isNew: true }))
      print(options, { file: resolve(file), bytes: written.bytes, rows: written.rows }, () => [
        `Backup written: ${resolve(file)}, ${megabytes(written.bytes)}.`,
        'It holds the keys of this node. Sessions, and what this node has promised as a voter, are not in it.',
      ])
    })
}

function restore(): Command {
  return command('restore', 'make a data directory from a backup')
    .argument('<file>', 'what `rookery backup` wrote')
    .option('--alone', 'no other machine has joined since the backup, which knows of none', false)
    .addHelpText('after', `${PASSPHRASE_HELP}\nThe data directory must be empty or not exist.`)
    .action(async (file: string, options: CommonOptions & { alone: boolean }) => {
      const { restoreBackup } = await import('../restoring.ts')
      const { readPassphrase } = await import('../read-words.ts')
      const dataDir = resolve(options.dataDir)
      const { mesh, peer, createdAt, others } = await restoreBackup(resolve(file), dataDir, {
        askPassphrase: () => readPassphrase({ isNew: false }),
        isAlone: options.alone,
      })
      const restored = { data_dir: dataDir, mesh_id: mesh, peer_id: peer, backup_of: createdAt, other_members: others }
      print(options, restored, () => [
        `Restored into ${dataDir}, as it was on ${createdAt}.`,
        'Make sure that the node the backup is of runs nowhere any more, then start this one: `rookery up`.',
        ...(others.length === 0
          ? []
          : [
              'It takes from the others what it wrote since, and writes nothing itself before that (`rookery restored`).',
            ]),
        'If it was a voter, its vote counts again after `rookery voters set`; alone: `… --force --reason "restored"`.',
      ])
    })
}

function restored(): Command {
  return command('restored', 'say whom a node from a backup waits for before it writes')
    .option('--without <member>', 'go on without having heard from it, since it is lost (may be repeated)', collect, [])
    .addHelpText(
      'after',
      '\nWhat only a member left out has of this node is lost. If it comes back all the same with something else at the\nsame place, it takes this node for a forger: remove it from the mesh instead if it is gone for good.',
    )
    .action(async (options: CommonOptions & { without: string[] }) => {
      const view = await (options.without.length > 0
        ? ask<RestoredView>(options, 'restored.goOn', { without: options.without })
        : ask<RestoredView>(options, 'restored.view'))
      print(options, wireRestored(view), () => linesOf(view))
    })
}

const wireRestored = ({ isRestoring, problem, cause, since, asOf, awaited, seenBy }: RestoredView): object => ({
  is_restoring: isRestoring,
  problem,
  cause,
  since,
  as_of: asOf,
  awaited: awaited.map(({ peerId, name, online }) => ({ peer_id: peerId, name, online })),
  seen_by: seenBy,
})

function linesOf({ isRestoring, problem, awaited, seenBy, asOf }: RestoredView): string[] {
  if (!isRestoring) return ['Nothing keeps this node from writing.']
  return [
    problem ?? '',
    `its disk is as of ${asOf}`,
    ...(seenBy.length === 0 ? [] : [`another copy was heard by: ${seenBy.join(', ')}`]),
    ...awaited.map(({ name, online }) => `waits for ${name}${online ? '' : ' (not here now)'}`),
  ]
}

const megabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(1)} MB`
