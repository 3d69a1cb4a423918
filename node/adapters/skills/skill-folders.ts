import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { SkillHome, SkillPlace, SkillSpot } from '../../ports/skill-files.ts'
import { codeOf, HeldFolder } from './held-folder.ts'

const MANIFEST = 'SKILL.md'
/** Agents look for exact names: a file with more behind its name is not there for them. */
const ASIDE = '.disabled'

/** What a skill's file is called in its folder, enabled and disabled. */
export type FileNames = { readonly on: string; readonly off: string }

export const MANIFEST_NAMES: FileNames = { on: MANIFEST, off: `${MANIFEST}${ASIDE}` }
export const commandNames = (name: string): FileNames => ({ on: `${name}.md`, off: `${name}.md${ASIDE}` })

/** The name of a command by that of its file; undefined when it is none. */
export const commandOf = (file: string): string | undefined => /^(.+)\.md(?:\.disabled)?$/.exec(file)?.[1]

/** The folders from a place down to a skill's file, and what the file is called there. */
export function wayTo({ place, name }: SkillSpot): { folders: readonly string[]; names: FileNames } {
  const parts = name.split('/')
  if (place.kind === 'skill') return { folders: parts, names: MANIFEST_NAMES }
  return { folders: parts.slice(0, -1), names: commandNames(parts.at(-1) ?? '') }
}

/** A place, when it is there. Only the person's own home may lead elsewhere by links; a repository's may not. */
export async function openPlace(home: SkillHome, place: SkillPlace): Promise<HeldFolder | undefined> {
  if (home.projectId === null) return await HeldFolder.openTrusted(join(home.folder, place.folder))
  const project = await HeldFolder.openTrusted(home.folder)
  return project && (await descend(project, place.folder.split('/')))
}

/** Goes down, letting go of what it came from. */
async function descend(from: HeldFolder, names: readonly string[]): Promise<HeldFolder | undefined> {
  let folder = from
  for (const name of names) {
    const next = await folder.folder(name)
    await folder[Symbol.asyncDispose]()
    if (!next) return undefined
    folder = next
  }
  return folder
}

/** The folder with a skill's file in it, when it is there. */
export async function openSpot(spot: SkillSpot): Promise<HeldFolder | undefined> {
  const place = await openPlace(spot.home, spot.place)
  return place && (await descend(place, wayTo(spot).folders))
}

/** The folder in which that of a skill is, when it is there. */
export async function openParent(spot: SkillSpot): Promise<HeldFolder | undefined> {
  const place = await openPlace(spot.home, spot.place)
  return place && (await descend(place, wayTo(spot).folders.slice(0, -1)))
}

/** As `openPlace`, and makes what is missing. Undefined when something else is in the way, or the home is gone. */
async function makePlace(home: SkillHome, place: SkillPlace): Promise<HeldFolder | undefined> {
  const there = await openPlace(home, place)
  const from = there ? undefined : await HeldFolder.openTrusted(home.folder)
  return there ?? (from && (await make(from, place.folder.split('/'), home.projectId === null)))
}

/** As `openSpot`, and makes what is missing. */
export async function makeSpot(spot: SkillSpot): Promise<HeldFolder | undefined> {
  const place = await makePlace(spot.home, spot.place)
  return place && (await make(place, wayTo(spot).folders, false))
}

async function make(from: HeldFolder, names: readonly string[], mayFollow: boolean): Promise<HeldFolder | undefined> {
  let folder = from
  for (const name of names) {
    const next = await enter(folder, name, mayFollow)
    await folder[Symbol.asyncDispose]()
    if (!next) return undefined
    folder = next
  }
  return folder
}

async function enter(folder: HeldFolder, name: string, mayFollow: boolean): Promise<HeldFolder | undefined> {
  const there = mayFollow ? await HeldFolder.openTrusted(join(folder.path, name)) : await folder.folder(name)
  if (there) return there
  try {
    await mkdir(folder.at(name))
    await folder.sync()
  } catch (error) {
    if (codeOf(error) !== 'EEXIST') {
      await folder[Symbol.asyncDispose]()
      throw error
    }
  }
  return await folder.folder(name)
}
