import type { Command } from 'commander'
import type { FileLock, LockNotice } from '../../../crdt/lock.ts'
import { ask, command, group, parseWhole, print, table, type CommonOptions } from '../command.ts'
import { projectOf, type ProjectOption } from '../project-of.ts'
import { wireLock, wireNotice } from '../wire.ts'
import {
  actingAs,
  instanceFlag,
  proof,
  PROJECT_FLAG,
  PROOF_FLAG,
  type InstanceOption,
  type ProofOption,
} from './work-flags.ts'

export function lockCommand(): Command {
  const lock = group('lock', 'lock files of a project against everybody else in the mesh')
  for (const sub of [lockAcquire(), lockCheck(), lockList(), lockRelease(), lockNotices()]) lock.addCommand(sub)
  return lock
}

type LockOptions = { reason?: string; minutes?: number; exclusive?: boolean }

function lockAcquire(): Command {
  return command('acquire', 'lock a file, a directory, or all that a pattern with * can match')
    .argument('<path>', 'relative to the project')
    .option(...PROJECT_FLAG)
    .option(...instanceFlag)
    .option('--reason <text>', 'shown to those who are refused')
    .option('--minutes <number>', 'how long', parseWhole)
    .option('--exclusive', 'take no provisional lock when too few voters can be reached')
    .action(async (path: string, options: CommonOptions & ProjectOption & InstanceOption & LockOptions) => {
      const { id } = await projectOf(options)
      const { reason, minutes, exclusive = false } = options
      const lock = await ask<FileLock>(options, 'lock.acquire', {
        project: id,
        path,
        exclusive,
        ...actingAs(options),
        ...(reason === undefined ? {} : { reason }),
        ...(minutes === undefined ? {} : { minutes }),
      })
      print(options, wireLock(lock, Date.now()), () => sentences(lock))
    })
}

function lockCheck(): Command {
  return command('check', 'tell who holds a lock on a path')
    .argument('<path>', 'relative to the project')
    .option(...PROJECT_FLAG)
    .action(async (path: string, options: CommonOptions & ProjectOption) => {
      const lock = await ask<FileLock | null>(options, 'lock.check', { project: (await projectOf(options)).id, path })
      print(options, lock && wireLock(lock, Date.now()), () => (lock ? sentences(lock) : [`${path} is free.`]))
    })
}

function lockList(): Command {
  return command('list', 'list the locks of a project')
    .option(...PROJECT_FLAG)
    .action(async (options: CommonOptions & ProjectOption) => {
      const locks = await ask<FileLock[]>(options, 'lock.list', { project: (await projectOf(options)).id })
      const now = Date.now()
      print(
        options,
        locks.map((lock) => wireLock(lock, now)),
        () =>
          table([
            ['PATH', 'HELD BY', 'UNTIL', 'GUARANTEE', 'REASON'],
            ...locks.map((l) => [named(l), l.instanceId, l.expiresAt, guaranteeOf(l), l.reason ?? '']),
          ]),
      )
    })
}

function lockRelease(): Command {
  return command('release', 'give a lock back')
    .argument('<path>', 'relative to the project')
    .option(...PROJECT_FLAG)
    .option(...instanceFlag)
    .option(...PROOF_FLAG)
    .action(async (path: string, options: CommonOptions & ProjectOption & InstanceOption & ProofOption) => {
      const { id } = await projectOf(options)
      await ask<null>(options, 'lock.release', { project: id, path, ...actingAs(options), ...proof(options) })
      print(options, null, () => [`${path} is free.`])
    })
}

function lockNotices(): Command {
  return command('notices', 'tell which locks were lost without having been given back, and to whom')
    .option(...PROJECT_FLAG)
    .option('--dismiss <id>', 'take a notice off the list, for everybody')
    .action(async (options: CommonOptions & ProjectOption & { dismiss?: string }) => {
      const { id: project } = await projectOf(options)
      if (options.dismiss !== undefined) await ask<null>(options, 'lock.dismiss', { project, id: options.dismiss })
      const notices = await ask<LockNotice[]>(options, 'lock.notices', { project })
      print(options, notices.map(wireNotice), () =>
        notices.length === 0 ? ['No lock was lost.'] : notices.flatMap(noticeLines),
      )
    })
}

const named = ({ path, pattern }: FileLock): string => (pattern === null ? path : `${pattern} (all of ${path})`)

const guaranteeOf = ({ guarantee, missingVoters }: FileLock): string =>
  guarantee === 'certified' ? guarantee : `${guarantee}: no quorum${without(missingVoters)}`

const without = (voters: readonly string[]): string =>
  voters.length === 0 ? '' : ` (${voters.join(', ')} unreachable)`

function sentences(lock: FileLock): string[] {
  const held = `${named(lock)} is locked by ${lock.instanceId} until ${lock.expiresAt}.`
  if (lock.guarantee === 'certified') return [held]
  return [held, `${guaranteeOf(lock)}; it is reconciled when the connection is back.`]
}

function noticeLines(notice: LockNotice): string[] {
  const { advice } = wireNotice(notice)
  const { conflict } = notice
  const what = `${notice.paths.join(', ')}: the lock of ${notice.instanceId}`
  const how = conflict
    ? `gave way to that of ${conflict.instanceId} on ${conflict.path}, held since ${conflict.since}`
    : 'ended when its node was restarted'
  return [`${what} ${how} (${notice.endedAt}).`, `  ${advice}`, `  rookery lock notices --dismiss ${notice.id}`]
}
