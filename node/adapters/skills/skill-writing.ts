import { randomUUID } from 'node:crypto'
import { constants, type Stats } from 'node:fs'
import { link, lstat, mkdir, open, rename, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { domainError, type DomainError } from '../../../crdt/errors.ts'
import { err, ok, type Result } from '../../../crdt/result.ts'
import type { SkillChange } from '../../../crdt/skill.ts'
import type { SkillSpot, SkillText } from '../../ports/skill-files.ts'
import { codeOf, orAbsent, type HeldFolder } from './held-folder.ts'
import { editSkill } from './skill-editing.ts'
import { makeSpot, openParent, openPlace, openSpot, wayTo, type FileNames } from './skill-folders.ts'
import { readSkill, readText, SKILL_FILE_BYTES_MAX, tooLarge, type OpenedText } from './skill-reading.ts'

/** Somebody else saves the file again and again meanwhile. */
const TRIES_MAX = 5
/** Hidden, so that no agent looks into it; beside the skills, so that moving is one step on one disk. */
const REMOVED = '.rookery-removed'

export async function writeSkill(
  spot: SkillSpot,
  change: SkillChange,
  { create }: { create: boolean },
): Promise<Result<SkillText>> {
  return await answered(spot, async () => {
    const there = await openSpot(spot)
    if (!there && !create) return err(domainError('skill_not_found'))
    // What cannot be written leaves no empty folder behind.
    const first = there ? undefined : textAfter(undefined, change, spot)
    if (first?.ok === false) return first
    await using folder = there ?? (await makeSpot(spot))
    if (!folder) return err(inTheWay(spot))
    const { names } = wayTo(spot)
    for (let i = 0; i < TRIES_MAX; i++) {
      const tried = await tryWrite(folder, change, { spot, names, create })
      if (!tried.ok) return tried
      if (!tried.value) continue
      return await readSkill(spot)
    }
    return err(inTheWay(spot))
  })
}

export async function setSkillEnabled(spot: SkillSpot, enabled: boolean): Promise<Result<null>> {
  return await answered(spot, async () => {
    await using folder = await openSpot(spot)
    if (!folder) return err(domainError('skill_not_found'))
    return await setEnabledIn(folder, wayTo(spot).names, enabled)
  })
}

/** Moves a skill's folder, or a command's file, to where nobody reads it. */
export async function removeSkill(spot: SkillSpot): Promise<Result<{ keptAt: string }>> {
  return await answered(spot, async () => {
    await using folder = await openSpot(spot)
    const { names, folders } = wayTo(spot)
    if (!folder || !(await presentIn(folder, names))) return err(domainError('skill_not_found'))
    await using place = await openPlace(spot.home, spot.place)
    await using removed = place && (await removedFolder(place))
    if (!place || !removed) return err(inTheWay(spot))
    const stamp = new Date().toISOString().replaceAll(/[:.]/g, '-')
    const kept = `${spot.name.replaceAll('/', '__')}.${stamp}.${randomUUID().slice(0, 8)}`
    if (spot.place.kind === 'command') return await removeFile(folder, names, { removed, kept })
    // Switched off first: some agents look deeper than they say.
    await setEnabledIn(folder, names, false)
    await using parent = await openParent(spot)
    const last = folders.at(-1)
    if (!parent || last === undefined) return err(domainError('skill_not_found'))
    await rename(parent.at(last), removed.at(kept))
    await Promise.all([parent.sync(), removed.sync()])
    return ok({ keptAt: join(removed.path, kept) })
  })
}

async function removeFile(
  folder: HeldFolder,
  names: FileNames,
  { removed, kept }: { removed: HeldFolder; kept: string },
): Promise<Result<{ keptAt: string }>> {
  const from = (await isFile(folder, names.on)) ? names.on : names.off
  const to = `${kept}.md.disabled`
  await rename(folder.at(from), removed.at(to))
  await Promise.all([folder.sync(), removed.sync()])
  return ok({ keptAt: join(removed.path, to) })
}

/** Whoever keeps the place in a repository does not want what was removed from it. */
async function removedFolder(place: HeldFolder): Promise<HeldFolder | undefined> {
  const there = await place.folder(REMOVED)
  if (there) return there
  await mkdir(place.at(REMOVED), { mode: 0o700 })
  const made = await place.folder(REMOVED)
  if (made) await writeNew(made, '.gitignore', { text: '*\n', mode: 0o600 })
  await place.sync()
  return made
}

type Writing = { readonly spot: SkillSpot; readonly names: FileNames; readonly create: boolean }

/** True when it is done, false when the file has changed meanwhile. */
async function tryWrite(folder: HeldFolder, change: SkillChange, writing: Writing): Promise<Result<boolean>> {
  const { spot, names, create } = writing
  const read = await readText(folder, names)
  if (!read.ok) return read
  const before = read.value
  if (!before && !create) return err(domainError('skill_not_found'))
  if (before && !before.isUtf8) return err(conflict(`${join(folder.path, before.name)} is not UTF-8 text.`))
  const text = textAfter(before?.text, change, spot)
  if (!text.ok) return text
  const enabled = change.enabled ?? before?.enabled ?? true
  if (before && before.enabled !== enabled) {
    const switched = await setEnabledIn(folder, names, enabled)
    if (!switched.ok) return switched
  }
  const name = enabled ? names.on : names.off
  if (text.value === before?.text) return ok(true)
  return ok(await replace(folder, name, { text: text.value, before }))
}

function textAfter(before: string | undefined, change: SkillChange, spot: SkillSpot): Result<string> {
  const text = editSkill(before, change, spot)
  const bytes = text.ok ? Buffer.byteLength(text.value) : 0
  return bytes > SKILL_FILE_BYTES_MAX ? err(tooLarge(fileOf(spot), bytes)) : text
}

/** Puts a new file in the place of the one that was read. False when that is no longer the one that is there. */
async function replace(
  folder: HeldFolder,
  name: string,
  { text, before }: { text: string; before: OpenedText | undefined },
): Promise<boolean> {
  const temporary = `.rookery-${randomUUID()}`
  await writeNew(folder, temporary, { text, mode: before ? before.stats.mode & 0o777 : 0o644 })
  try {
    if (!before) return await linkNew(folder, temporary, name)
    const now = await orAbsent(() => lstat(folder.at(name)))
    if (!now?.isFile() || contentStamp(now) !== contentStamp(before.stats)) return false
    await rename(folder.at(temporary), folder.at(name))
    return true
  } finally {
    await orAbsent(() => unlink(folder.at(temporary)))
    await folder.sync()
  }
}

/** Renaming a file changes when it was changed, not what is in it. */
const contentStamp = ({ dev, ino, size, mtimeMs }: Stats): string => [dev, ino, size, mtimeMs].join(':')

async function writeNew(
  folder: HeldFolder,
  name: string,
  { text, mode }: { text: string; mode: number },
): Promise<void> {
  const { O_WRONLY, O_CREAT, O_EXCL, O_NOFOLLOW } = constants
  const file = await open(folder.at(name), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode)
  try {
    await file.writeFile(text)
    await file.sync()
  } catch (error) {
    await orAbsent(() => unlink(folder.at(name)))
    throw error
  } finally {
    await file.close()
  }
}

/** @errors skill_not_found, skill_conflict */
async function setEnabledIn(folder: HeldFolder, { on, off }: FileNames, enabled: boolean): Promise<Result<null>> {
  const [from, to] = enabled ? [off, on] : [on, off]
  const [source, target] = [await statOf(folder, from), await statOf(folder, to)]
  // A crash between the two steps below leaves one file under both names.
  const isHalfDone =
    source !== undefined && target !== undefined && source.ino === target.ino && source.dev === target.dev
  if (!source?.isFile()) return target?.isFile() ? ok(null) : err(domainError('skill_not_found'))
  if (target && !isHalfDone) {
    // Where both are there, the one that agents see is the skill.
    if (enabled && target.isFile()) return ok(null)
    return err(conflict(`${join(folder.path, to)} is there already: move it away first.`))
  }
  if (!isHalfDone && !(await linkNew(folder, from, to)))
    return err(conflict(`${join(folder.path, to)} is there already: move it away first.`))
  await orAbsent(() => unlink(folder.at(from)))
  await folder.sync()
  return ok(null)
}

const NO_LINKS = new Set(['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EMLINK'])

/** A second name for a file, never in the place of something else: false when there is something. */
async function linkNew(folder: HeldFolder, from: string, to: string): Promise<boolean> {
  try {
    await link(folder.at(from), folder.at(to))
    return true
  } catch (error) {
    if (codeOf(error) === 'EEXIST') return false
    if (!NO_LINKS.has(codeOf(error))) throw error
    // Some disks know no links: looking first is the next best.
    if (await statOf(folder, to)) return false
    await rename(folder.at(from), folder.at(to))
    return true
  }
}

const statOf = (folder: HeldFolder, name: string): Promise<Stats | undefined> => orAbsent(() => lstat(folder.at(name)))
const isFile = async (folder: HeldFolder, name: string): Promise<boolean> =>
  (await statOf(folder, name))?.isFile() === true
const presentIn = async (folder: HeldFolder, { on, off }: FileNames): Promise<boolean> =>
  (await isFile(folder, on)) || (await isFile(folder, off))

const conflict = (message: string): DomainError => domainError('skill_conflict', { message })

const fileOf = ({ home, place, name }: SkillSpot): string => join(home.folder, place.folder, name)

const inTheWay = (spot: SkillSpot): DomainError =>
  conflict(`${fileOf(spot)} cannot be written: a link or another file is in the way, or the file keeps changing.`)

const REFUSED = new Set(['EACCES', 'EPERM', 'EROFS'])
const FULL = new Set(['ENOSPC', 'EDQUOT'])

/** What a disk refuses is an answer; everything else that is thrown is a bug and stays thrown. */
async function answered<T>({ home, place }: SkillSpot, work: () => Promise<Result<T>>): Promise<Result<T>> {
  try {
    return await work()
  } catch (error) {
    const code = codeOf(error)
    if (FULL.has(code)) return err(domainError('storage_failed'))
    if (!REFUSED.has(code)) throw error
    const where = join(home.folder, place.folder)
    const message = `The user of the node may not write in ${where} (${code}); nothing was changed.`
    return err(domainError('storage_failed', { message }))
  }
}
