import { resolve } from 'node:path'
import { Option, type Command } from 'commander'
import { LOCK_POLICIES, type LockPolicy, type Project } from '../../../crdt/project.ts'
import { PRIORITIES, TASK_STATUSES, type Task } from '../../../crdt/task.ts'
import { ask, command, group, print, table, type CommonOptions } from '../command.ts'
import { CommandFailure, EXIT } from '../exit.ts'
import { projectOf, type ProjectOption } from '../project-of.ts'
import { wireProject, wireTask } from '../wire.ts'
import { contextCommand } from './context.ts'
import { lockCommand } from './lock.ts'
import {
  actingAs,
  collect,
  instanceFlag,
  proof,
  PROJECT_FLAG,
  PROOF_FLAG,
  type InstanceOption,
  type ProofOption,
} from './work-flags.ts'

/** Projects, tasks, file locks and context. */
export const workCommands = (): Command[] => [projectCommand(), taskCommand(), lockCommand(), contextCommand()]

function projectCommand(): Command {
  const project = group('project', 'manage the projects of this mesh')
  project.addCommand(
    command('add', 'share a folder of this machine as a project')
      .argument('<path>')
      .option('--name <name>', 'default: the name of the folder')
      .action(async (path: string, options: CommonOptions & { name?: string }) => {
        const added = await ask<Project>(options, 'project.add', {
          path: resolve(path),
          ...(options.name === undefined ? {} : { name: options.name }),
        })
        print(options, wireProject(added), () => [`${added.name} is project ${added.id}.`])
      }),
  )
  project.addCommand(
    command('list', 'list all projects').action(async (options: CommonOptions) => {
      const projects = await ask<Project[]>(options, 'project.list')
      print(options, projects.map(wireProject), () =>
        table([['NAME', 'ID', 'PATHS'], ...projects.map((p) => [p.name, p.id, Object.values(p.paths).join(', ')])]),
      )
    }),
  )
  project.addCommand(projectSet())
  return project
}

type SettingOptions = { lockPolicy?: LockPolicy; caseFold?: 'on' | 'off' }

function projectSet(): Command {
  return command('set', 'change how files of a project are locked')
    .option(...PROJECT_FLAG)
    .addOption(new Option('--lock-policy <policy>', 'what a lock does without a quorum').choices(LOCK_POLICIES))
    .addOption(new Option('--case-fold <on|off>', 'whether A and a are one file').choices(['on', 'off']))
    .action(async (options: CommonOptions & ProjectOption & SettingOptions) => {
      const { id } = await projectOf(options)
      const { lockPolicy, caseFold } = options
      const settings = {
        ...(lockPolicy === undefined ? {} : { lockPolicy }),
        ...(caseFold === undefined ? {} : { caseFold: caseFold === 'on' }),
      }
      const changed = await ask<Project>(options, 'project.set', { project: id, settings })
      const { settings: now } = changed
      print(options, wireProject(changed), () => [
        `Locks of ${changed.name} are ${now.lockPolicy}; upper and lower case are ${now.caseFold ? 'one' : 'two'}.`,
      ])
    })
}

function taskCommand(): Command {
  const task = group('task', 'work with the tasks of a project')
  for (const sub of [taskAdd(), taskList(), taskNext(), taskClaim(), taskComplete(), taskRelease()])
    task.addCommand(sub)
  return task
}

function taskAdd(): Command {
  return command('add', 'add a task')
    .argument('<title>')
    .option(...PROJECT_FLAG)
    .option('--description <text>', 'what is to be done', '')
    .option('--priority <level>', PRIORITIES.join(', '), 'medium')
    .option('--file <path>', 'a file it is about (may be repeated)', collect, [])
    .option('--depends-on <id>', 'a task that must be completed first (may be repeated)', collect, [])
    .action(async (title: string, options: CommonOptions & ProjectOption & TaskAddOptions) => {
      const project = await projectOf(options)
      const added = await ask<Task>(options, 'task.add', {
        project: project.id,
        task: {
          title,
          description: options.description,
          priority: options.priority,
          files: options.file,
          dependencies: options.dependsOn,
        },
      })
      print(options, wireTask(added), () => [`${added.id}  ${added.title}`])
    })
}

type TaskAddOptions = { description: string; priority: string; file: string[]; dependsOn: string[] }

function taskList(): Command {
  return command('list', 'list tasks')
    .option(...PROJECT_FLAG)
    .option('--status <status>', TASK_STATUSES.join(', '))
    .option('--priority <level>', PRIORITIES.join(', '))
    .action(async (options: CommonOptions & ProjectOption & { status?: string; priority?: string }) => {
      const project = await projectOf(options)
      const tasks = await ask<Task[]>(options, 'task.list', {
        project: project.id,
        ...(options.status === undefined ? {} : { status: options.status }),
        ...(options.priority === undefined ? {} : { priority: options.priority }),
      })
      print(options, tasks.map(wireTask), () =>
        table([['PRIORITY', 'STATUS', 'CLAIMED BY', 'TITLE', 'ID'], ...tasks.map(taskRow)]),
      )
    })
}

const taskRow = (task: Task): string[] => [
  task.priority,
  task.isBlocked && task.status === 'pending' ? 'blocked' : task.status,
  task.claim?.instanceId ?? '-',
  task.title,
  task.id,
]

function taskNext(): Command {
  return command('next', 'show (or claim) the task that should be done next')
    .option(...PROJECT_FLAG)
    .option('--claim', 'claim it in the same step')
    .option(...instanceFlag)
    .action(async (options: CommonOptions & ProjectOption & InstanceOption & { claim?: boolean }) => {
      const project = await projectOf(options)
      const task = options.claim
        ? await ask<Task>(options, 'task.claimNext', { project: project.id, ...actingAs(options) })
        : await ask<Task | null>(options, 'task.next', { project: project.id })
      if (task === null)
        throw new CommandFailure('No task is free to be claimed.', EXIT.held, { code: 'no_task_available' })
      print(options, wireTask(task), () => table([taskRow(task)]))
    })
}

function taskClaim(): Command {
  return command('claim', 'claim a task: exactly one of any number of claimants gets it')
    .argument('<id>')
    .option(...instanceFlag)
    .action(async (id: string, options: CommonOptions & InstanceOption) => {
      const task = await ask<Task>(options, 'task.claim', { id, ...actingAs(options) })
      print(options, wireTask(task), () => [
        `${task.title} is claimed by ${task.claim?.instanceId} (fencing token ${task.claim?.fencingToken}).`,
      ])
    })
}

function taskComplete(): Command {
  return command('complete', 'mark a claimed task as done')
    .argument('<id>')
    .option('--summary <text>', 'what was done', '')
    .option('--file <path>', 'a file that was changed (may be repeated)', collect, [])
    .option(...PROOF_FLAG)
    .action(async (id: string, options: CommonOptions & ProofOption & { summary: string; file: string[] }) => {
      const task = await ask<Task>(options, 'task.complete', {
        id,
        summary: options.summary,
        files: options.file,
        ...proof(options),
      })
      print(options, wireTask(task), () => [`${task.title} is completed.`])
    })
}

function taskRelease(): Command {
  return command('release', 'give a claimed task back')
    .argument('<id>')
    .option('--reason <text>', 'why', '')
    .option(...PROOF_FLAG)
    .action(async (id: string, options: CommonOptions & ProofOption & { reason: string }) => {
      const task = await ask<Task>(options, 'task.release', { id, reason: options.reason, ...proof(options) })
      print(options, wireTask(task), () => [`${task.title} is free again.`])
    })
}
