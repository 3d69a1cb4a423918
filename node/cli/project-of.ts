import { realpath } from 'node:fs/promises'
import { sep } from 'node:path'
import type { Project } from '../../crdt/project.ts'
import type { MeshStatus } from '../services/membership/mesh-service.ts'
import { ask, type CommonOptions } from './command.ts'
import { CommandFailure, EXIT } from './exit.ts'

export type ProjectOption = { readonly project?: string }

/**
 * The project a command is about: by id or unambiguous name, else the one that contains the current directory.
 * @throws CommandFailure that says how to name one
 */
export async function projectOf(options: CommonOptions & ProjectOption): Promise<Project> {
  const projects = await ask<Project[]>(options, 'project.list')
  const { project: wanted } = options
  const matching =
    wanted === undefined
      ? await containing(options, projects)
      : projects.filter(({ id, name }) => id === wanted || name === wanted)
  const [only] = matching
  if (only && matching.length === 1) return only
  const known = projects.map(({ name }) => name).join(', ') || 'none yet (`rookery project add <path>`)'
  const message =
    wanted === undefined
      ? `No project contains the current directory. Name one with --project. Known: ${known}.`
      : only
        ? `${matching.length} projects are called ${wanted}: use the id.`
        : `No project is called ${wanted}. Known: ${known}.`
  throw new CommandFailure(message, EXIT.refused, { code: 'project_not_found' })
}

/** The innermost projects around the current directory. */
async function containing(options: CommonOptions, projects: readonly Project[]): Promise<Project[]> {
  const { peerId } = await ask<MeshStatus>(options, 'mesh.status')
  const here = `${await realpath('.')}${sep}`
  const around = projects.flatMap((project) => {
    const path = project.paths[peerId]
    return path !== undefined && here.startsWith(path === sep ? sep : `${path}${sep}`) ? [{ project, path }] : []
  })
  const longest = Math.max(...around.map(({ path }) => path.length))
  return around.filter(({ path }) => path.length === longest).map(({ project }) => project)
}
