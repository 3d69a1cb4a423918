import type { Dirent, Stats } from 'node:fs'
import { lstat, type FileHandle } from 'node:fs/promises'
import { join } from 'node:path'
import { domainError } from '../../../crdt/errors.ts'
import { err, ok, type Result } from '../../../crdt/result.ts'
import { isSkillName, SKILL_CONTENT_BYTES_MAX } from '../../../crdt/skill.ts'
import type {
  SkillFile,
  SkillHead,
  SkillHome,
  SkillPlace,
  SkillScan,
  SkillSpot,
  SkillText,
} from '../../ports/skill-files.ts'
import { FRONT_MATTER_CHARS_MAX } from './front-matter.ts'
import { orAbsent, type HeldFolder } from './held-folder.ts'
import { commandNames, commandOf, MANIFEST_NAMES, openPlace, openSpot, wayTo, type FileNames } from './skill-folders.ts'
import { fullDescription, readMarkdown } from './skill-head.ts'

/** Skills of one machine. Each takes up to some kilobytes of memory. */
const SKILLS_MAX = 20_000
/** Front matter and some lines: lists show no more. */
const HEAD_BYTES = 2 * FRONT_MATTER_CHARS_MAX
/** Open files at once: the system allows 256 to a process in some places. */
const AT_ONCE = 32

/** Files can claim to be of any year; dates cannot be written for all of them. */
const YEAR_9999_MS = Date.UTC(9999, 11, 31)

/** Of a whole file with its front matter. */
export const SKILL_FILE_BYTES_MAX = SKILL_CONTENT_BYTES_MAX + FRONT_MATTER_CHARS_MAX

export type SkillReading = {
  scan(homes: readonly SkillHome[]): Promise<SkillScan>
}

/** Scans again and again; remembers what the files of the last scan said. */
export function createSkillReading(): SkillReading {
  let known: Known = new Map()
  return {
    async scan(homes) {
      const scan = new Scan(known)
      for (const home of homes) for (const place of home.places) await scan.lookInto(home, place)
      known = new Map(scan.skills.map(({ file, stamp, ...head }) => [file, { stamp, head: headOf(head) }]))
      return { skills: scan.skills, folders: scan.folders, isCut: scan.isFull() }
    },
  }
}

/** By file: what it said when its stamp was this. */
type Known = ReadonlyMap<string, { readonly stamp: string; readonly head: SkillHead }>

class Scan {
  readonly skills: SkillFile[] = []
  readonly folders: string[] = []
  readonly #known: Known

  constructor(known: Known) {
    this.#known = known
  }

  isFull = (): boolean => this.skills.length >= SKILLS_MAX

  async lookInto(home: SkillHome, place: SkillPlace): Promise<void> {
    const folder = await openPlace(home, place)
    if (folder) await this.#walk(folder, { home, place, name: '' })
  }

  /** Lets go of the folder. */
  async #walk(folder: HeldFolder, at: SkillSpot): Promise<void> {
    await using held = folder
    this.folders.push(held.path)
    const entries = (await orAbsent(() => collect(held))) ?? []
    const deeper: string[] = []
    for (let from = 0; from < entries.length && !this.isFull(); from += AT_ONCE) {
      const found = await Promise.all(entries.slice(from, from + AT_ONCE).map((entry) => this.#look(held, entry, at)))
      for (const each of found) {
        if (typeof each === 'string') deeper.push(each)
        else if (each && !this.isFull()) this.skills.push(each)
      }
    }
    for (const name of deeper) {
      if (this.isFull() || depthOf(at.name) + 1 >= at.place.depth) return
      const next = await held.folder(name)
      if (next) await this.#walk(next, { ...at, name: below(at.name, name) })
    }
  }

  /** A skill, the name of a folder in which there may be some, or nothing. */
  async #look(folder: HeldFolder, entry: Dirent, at: SkillSpot): Promise<SkillFile | string | undefined> {
    if (at.place.kind === 'command') {
      if (entry.isDirectory()) return entry.name
      const name = entry.isFile() ? commandOf(entry.name) : undefined
      if (name === undefined || !isSkillName(name)) return undefined
      const names = commandNames(name)
      const isSecond = entry.name === names.off && (await orAbsent(() => lstat(folder.at(names.on))))?.isFile()
      return isSecond ? undefined : await this.#skillIn(folder, names, { ...at, name: below(at.name, name) })
    }
    if (!entry.isDirectory()) return undefined
    await using inner = await folder.folder(entry.name)
    if (!inner) return undefined
    const skill = await this.#skillIn(inner, MANIFEST_NAMES, { ...at, name: below(at.name, entry.name) })
    if (skill) this.folders.push(inner.path)
    return skill ?? entry.name
  }

  async #skillIn(folder: HeldFolder, names: FileNames, spot: SkillSpot): Promise<SkillFile | undefined> {
    for (const [name, enabled] of statesOf(names)) {
      const file = join(folder.path, name)
      const known = this.#known.get(file)
      if (known) {
        const stats = await orAbsent(() => lstat(folder.at(name)))
        if (stats?.isFile() && stampOf(stats) === known.stamp)
          return { ...known.head, spot, file, enabled, ...sizesOf(stats) }
      }
      const opened = await folder.file(name)
      if (!opened) continue
      const { handle, stats } = opened
      try {
        const { text } = decode(await readUpTo(handle, Math.min(stats.size, HEAD_BYTES)))
        return { ...readMarkdown(text, spot).head, spot, file, enabled, ...sizesOf(stats) }
      } finally {
        await handle.close()
      }
    }
    return undefined
  }
}

/** The text of a skill as it is on the disk, with what is needed to change it. */
export type OpenedText = {
  readonly text: string
  readonly isUtf8: boolean
  readonly enabled: boolean
  readonly name: string
  readonly stats: Stats
}

/** @errors too_large */
export async function readText(folder: HeldFolder, names: FileNames): Promise<Result<OpenedText | undefined>> {
  for (const [name, enabled] of statesOf(names)) {
    const opened = await folder.file(name)
    if (!opened) continue
    const { handle, stats } = opened
    try {
      if (stats.size > SKILL_FILE_BYTES_MAX) return err(tooLarge(join(folder.path, name), stats.size))
      return ok({ ...decode(await readUpTo(handle, stats.size)), enabled, name, stats })
    } finally {
      await handle.close()
    }
  }
  return ok(undefined)
}

export async function readSkill(spot: SkillSpot): Promise<Result<SkillText>> {
  await using folder = await openSpot(spot)
  if (!folder) return err(domainError('skill_not_found'))
  const read = await readText(folder, wayTo(spot).names)
  if (!read.ok) return read
  if (!read.value) return err(domainError('skill_not_found'))
  const { text, isUtf8, enabled, name, stats } = read.value
  const { head, ...rest } = readMarkdown(text, spot)
  return ok({
    ...head,
    description: fullDescription(text) ?? head.description,
    problem: isUtf8 ? head.problem : 'The file is not UTF-8 text.',
    spot,
    file: join(folder.path, name),
    enabled,
    ...sizesOf(stats),
    ...rest,
  })
}

export const tooLarge = (file: string, bytes: number) =>
  domainError('too_large', {
    message: `${file} would have, or has, ${bytes} bytes; a skill is read and written up to ${SKILL_FILE_BYTES_MAX}.`,
  })

const statesOf = ({ on, off }: FileNames): [string, boolean][] => [
  [on, true],
  [off, false],
]

async function collect(folder: HeldFolder): Promise<Dirent[]> {
  const found: Dirent[] = []
  for await (const entry of folder.entries()) if (isSkillName(entry.name)) found.push(entry)
  return found.toSorted((a, b) => (a.name < b.name ? -1 : 1))
}

async function readUpTo(handle: FileHandle, bytesMax: number): Promise<Uint8Array> {
  const buffer = Buffer.alloc(bytesMax)
  let length = 0
  while (length < bytesMax) {
    const { bytesRead } = await handle.read(buffer, length, bytesMax - length, length)
    if (bytesRead === 0) break
    length += bytesRead
  }
  return buffer.subarray(0, length)
}

function decode(bytes: Uint8Array): { text: string; isUtf8: boolean } {
  try {
    return { text: new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes), isUtf8: true }
  } catch {
    return { text: new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes), isUtf8: false }
  }
}

export const stampOf = ({ dev, ino, size, mtimeMs, ctimeMs }: Stats): string =>
  [dev, ino, size, mtimeMs, ctimeMs].join(':')

const sizesOf = (stats: Stats): Pick<SkillFile, 'sizeBytes' | 'modifiedMs' | 'stamp'> => ({
  sizeBytes: stats.size,
  modifiedMs: Math.trunc(Math.min(YEAR_9999_MS, Math.max(0, stats.mtimeMs))),
  stamp: stampOf(stats),
})

const headOf = ({ name, description, priority, tags, version, problem }: SkillHead): SkillHead => ({
  name,
  description,
  priority,
  tags,
  version,
  problem,
})

const depthOf = (name: string): number => (name === '' ? 0 : name.split('/').length)
const below = (at: string, name: string): string => (at === '' ? name : `${at}/${name}`)
