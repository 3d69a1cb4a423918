import { readFile } from 'node:fs/promises'
import { text } from 'node:stream/consumers'
import type { Command } from 'commander'
import type { Project } from '../../../crdt/project.ts'
import type { FullSkill, Skill } from '../../../crdt/skill.ts'
import type { SkillBulk } from '../../services/skills/skill-service.ts'
import { ask, command, group, parseWhole, print, table, type CommonOptions } from '../command.ts'
import { CommandFailure, EXIT } from '../exit.ts'
import { projectOf } from '../project-of.ts'
import { wireBulk, wireFullSkill, wireSkill } from '../wire.ts'
import { collect } from './work-flags.ts'

/** What agents can be told to do, as files on any machine of the mesh. */
export function skillsCommand(): Command {
  const skills = group('skills', 'see and change the skills and commands of agents on any machine of the mesh')
  for (const sub of [list(), show(), add(), enable(true), enable(false), remove()]) skills.addCommand(sub)
  return skills
}

type Where = { machine?: string; project?: string }
const MACHINE_FLAG = ['--machine <name or id>', 'default: this machine'] as const
const PROJECT_FLAG = ['--project <name or id>', 'a skill of this project; default: of the user'] as const
const PATH = 'like debugging, .claude/commands/git/commit or .codex/prompts/review'

function list(): Command {
  return command('list', 'list the skills that lie in the folders of agents')
    .option(...MACHINE_FLAG)
    .option('--project <name or id>', 'only of this project')
    .option('--search <text>', 'only those with this in name, path, description or tags')
    .option('--disabled', 'only those that are disabled')
    .action(async (options: CommonOptions & Where & { search?: string; disabled?: boolean }) => {
      const { machine, search, disabled } = options
      const project = options.project === undefined ? undefined : (await projectOf(options)).id
      const skills = await ask<Skill[]>(options, 'skill.list', {
        machine,
        search,
        project,
        ...(disabled === true ? { enabled: false } : {}),
      })
      const names = new Map((await ask<Project[]>(options, 'project.list')).map(({ id, name }) => [id, name]))
      print(options, skills.map(wireSkill), () =>
        skills.length === 0 ? ['There are no skills.'] : listing(skills, (id) => names.get(id) ?? id),
      )
    })
}

function listing(skills: readonly Skill[], nameOf: (project: Project['id']) => string): string[] {
  const problems = skills.flatMap(({ path, problem }) => (problem === null ? [] : [`${path}: ${problem}`]))
  const rows = skills.map(({ path, enabled, projectId, priority, description }) => [
    // With --project it goes by this; its whole path begins with the id.
    projectId === null ? path : path.slice(projectId.length + 1),
    enabled ? 'enabled' : 'disabled',
    projectId === null ? 'user' : nameOf(projectId),
    String(priority),
    description.replace(/^(.{59}).{2,}$/, '$1…'),
  ])
  const lines = table([['PATH', 'STATE', 'OF', 'PRIORITY', 'DESCRIPTION'], ...rows])
  return [...lines, ...(problems.length === 0 ? [] : ['', ...problems])]
}

function show(): Command {
  return command('show', 'print a skill')
    .argument('<path>', PATH)
    .option(...MACHINE_FLAG)
    .option(...PROJECT_FLAG)
    .action(async (path: string, options: CommonOptions & Where) => {
      const { machine } = options
      const skill = await ask<FullSkill>(options, 'skill.show', { machine, path: await fullPath(path, options) })
      print(options, wireFullSkill(skill), () => [
        `${skill.name} (${skill.enabled ? 'enabled' : 'disabled'}): ${skill.file}`,
        ...(skill.problem === null ? [] : [skill.problem]),
        ...(skill.frontMatter === null ? [] : ['---', ...linesOf(skill.frontMatter), '---']),
        ...linesOf(skill.content),
      ])
    })
}

type AddOptions = { file: string; name?: string; description?: string; priority?: number; tag: string[] }

function add(): Command {
  return command('add', 'write a skill, or change the one that is there')
    .argument('<path>', PATH)
    .requiredOption('--file <file>', 'Markdown to write, with or without front matter; - reads standard input')
    .option(...MACHINE_FLAG)
    .option(...PROJECT_FLAG)
    .option('--name <text>', 'what people call it')
    .option('--description <text>', 'when agents should use it')
    .option('--priority <number>', 'higher comes first in lists', parseWhole)
    .option('--tag <word>', 'may be repeated', collect, [])
    .action(async (path: string, options: CommonOptions & Where & AddOptions) => {
      const { machine, file, name, description, priority, tag } = options
      const skill = await ask<FullSkill>(options, 'skill.save', {
        machine,
        skill: {
          path: await fullPath(path, options),
          content: await contentOf(file),
          ...(name === undefined ? {} : { name }),
          ...(description === undefined ? {} : { description }),
          ...(priority === undefined ? {} : { priority }),
          ...(tag.length === 0 ? {} : { metadata: { tags: tag } }),
        },
      })
      print(options, wireFullSkill(skill), () => [`${skill.path}: ${skill.file}`, ...problemLines(skill)])
    })
}

function enable(enabled: boolean): Command {
  const [verb, done] = enabled ? (['enable', 'enabled'] as const) : (['disable', 'disabled'] as const)
  return command(verb, enabled ? 'let agents see skills again' : 'take skills out of the sight of agents')
    .argument('<path...>', PATH)
    .option(...MACHINE_FLAG)
    .option(...PROJECT_FLAG)
    .action(async (paths: string[], options: CommonOptions & Where) => {
      const full = await Promise.all(paths.map((path) => fullPath(path, options)))
      const bulk = await ask<SkillBulk>(options, 'skill.enable', { machine: options.machine, paths: full, enabled })
      const [first] = bulk.failed
      if (first !== undefined && bulk.updated.length === 0)
        throw new CommandFailure(`${first.path}: ${first.message}`, EXIT.refused, { code: first.code })
      print(options, wireBulk(bulk), () => [
        ...bulk.updated.map((path) => `${path} is ${done}.`),
        ...bulk.failed.map(({ path, message }) => `${path}: ${message}`),
      ])
      if (first !== undefined) process.exitCode = EXIT.refused
    })
}

function remove(): Command {
  return command('remove', 'remove a skill; the machine keeps a copy')
    .argument('<path>', PATH)
    .option(...MACHINE_FLAG)
    .option(...PROJECT_FLAG)
    .action(async (path: string, options: CommonOptions & Where) => {
      const { machine } = options
      const removed = await ask<{ keptAt: string }>(options, 'skill.remove', {
        machine,
        path: await fullPath(path, options),
      })
      print(options, { kept_at: removed.keptAt }, () => [`${path} is removed. A copy is kept: ${removed.keptAt}`])
    })
}

async function fullPath(path: string, options: CommonOptions & Where): Promise<string> {
  return options.project === undefined ? path : `${(await projectOf(options)).id}/${path}`
}

async function contentOf(file: string): Promise<string> {
  if (file === '-') return await text(process.stdin)
  try {
    return await readFile(file, 'utf8')
  } catch (error) {
    const why = error instanceof Error && 'code' in error ? String(error.code) : String(error)
    throw new CommandFailure(`--file: ${file} cannot be read (${why}).`, EXIT.usage, { code: 'invalid_input' })
  }
}

const problemLines = ({ problem }: Skill): string[] => (problem === null ? [] : [problem])
const linesOf = (written: string): string[] => written.replace(/\r?\n$/, '').split(/\r?\n/)
