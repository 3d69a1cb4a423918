import type { ProjectId } from '../../../crdt/ids.ts'
import { SKILL_PATH_CHARS_MAX } from '../../../crdt/skill.ts'
import type { Cancel } from '../../ports/clock.ts'
import type { SkillFile, SkillHome, SkillScan } from '../../ports/skill-files.ts'
import type { SkillServiceDeps } from './skill-deps.ts'
import { PROJECT_PLACES, skillPathOf, USER_PLACES } from './skill-places.ts'

/** Folders of projects on this machine that are looked into. */
const PROJECTS_MAX = 500
/** What is saved together, by an editor or a checkout, is told together. */
const SETTLE_MS = 300
/** Where folders cannot be watched, or are not there yet, they are looked at this often. */
const LOOK_EVERY_MS = 15_000
/** Looking takes no more than this part of the time. */
const LOOKING_SHARE = 1 / 20
/** Of so many skills a list may be this old, for whoever reads it page by page; of fewer it is as the disk is now. */
const MANY = 1000
const MANY_REUSED_MS = 2000

export type SkillIndex = {
  /** Every skill of this machine, as the disk has them now. */
  all(): Promise<readonly SkillFile[]>
  /** Where skills may be: the home directory, then the folders of projects. */
  homes(): Promise<readonly SkillHome[]>
  /** This node has written: what is known is not of use any more. Tells of the change as of any other. */
  touch(): void
  stop(): void
}

export type SkillIndexDeps = Pick<SkillServiceDeps, 'self' | 'projects' | 'files' | 'home' | 'clock' | 'log'> & {
  /** Skills were added, changed or removed, in these projects or (also) in the home directory. */
  readonly onChange: (projects: readonly ProjectId[]) => void
}

/** Looks at once, and again whenever something happens in a folder with skills; what is there at the start is no news. */
export function createSkillIndex(deps: SkillIndexDeps): SkillIndex {
  const index = new Index(deps)
  index.start()
  return {
    all: () => index.all(),
    homes: () => index.homes(),
    touch: () => index.touch(),
    stop: () => index.stop(),
  }
}

class Index {
  readonly #deps: SkillIndexDeps
  #known: SkillScan | undefined
  #readAtMs = -Infinity
  #tookMs = 0
  #isTouched = false
  #reading: Promise<SkillScan> | undefined
  #unwatched = 0
  #settling: Cancel | undefined
  #looking: Cancel | undefined
  #isStopped = false
  readonly #watch

  constructor(deps: SkillIndexDeps) {
    this.#deps = deps
    this.#watch = deps.files.watch(() => this.touch())
  }

  start(): void {
    this.#lookNow()
  }

  async all(): Promise<readonly SkillFile[]> {
    const known = this.#known?.skills ?? []
    const isFresh = !this.#isTouched && this.#deps.clock.monoMs() - this.#readAtMs < MANY_REUSED_MS
    return isFresh && known.length >= MANY ? known : (await this.#read()).skills
  }

  async homes(): Promise<readonly SkillHome[]> {
    const { projects, self, home } = this.#deps
    const folders = new Map<string, ProjectId>()
    for (const { id, paths } of await projects.all()) {
      const folder = paths[self]
      if (folder !== undefined && folders.size < PROJECTS_MAX) folders.set(folder, id)
    }
    // A project that is the home directory itself has no skills of its own.
    folders.delete(home)
    return [
      { folder: home, projectId: null, places: USER_PLACES },
      ...[...folders].map(([folder, projectId]) => ({ folder, projectId, places: PROJECT_PLACES })),
    ]
  }

  touch(): void {
    this.#isTouched = true
    this.#settling ??= this.#deps.clock.after(SETTLE_MS, () => {
      this.#settling = undefined
      this.#lookNow()
    })
  }

  stop(): void {
    this.#isStopped = true
    this.#settling?.()
    this.#looking?.()
    this.#watch.close()
  }

  #lookNow(): void {
    if (this.#isStopped) return
    this.#looking?.()
    this.#read()
      .catch((error: unknown) => this.#deps.log.warn({ error: String(error) }, 'skills cannot be read'))
      .finally(() => this.#lookLater())
  }

  #lookLater(): void {
    if (this.#isStopped) return
    this.#looking?.()
    const delayMs = Math.max(LOOK_EVERY_MS, this.#tookMs / LOOKING_SHARE)
    this.#looking = this.#deps.clock.after(delayMs, () => this.#lookNow())
  }

  /** One at a time. Whoever asks while one is going on, of which nobody knows what it has seen, gets the next. */
  async #read(): Promise<SkillScan> {
    const before = this.#reading
    if (before) {
      await before.catch(() => undefined)
      if (this.#reading && this.#reading !== before) return await this.#reading
    }
    this.#reading = this.#scan()
    const reading = this.#reading
    try {
      return await reading
    } finally {
      if (this.#reading === reading) this.#reading = undefined
    }
  }

  async #scan(): Promise<SkillScan> {
    const { files, clock, log } = this.#deps
    const startedAtMs = clock.monoMs()
    this.#isTouched = false
    const scan = nameable(await files.scan(await this.homes()))
    this.#tookMs = clock.monoMs() - startedAtMs
    this.#readAtMs = clock.monoMs()
    const before = this.#known
    this.#known = scan
    if (this.#isStopped) return scan
    const unwatched = this.#watch.set(scan.folders)
    if (unwatched > 0 && this.#unwatched === 0)
      log.info({ folders: unwatched }, 'some folders with skills cannot be watched: they are looked at now and then')
    this.#unwatched = unwatched
    if (scan.isCut && !before?.isCut) log.warn({ skills: scan.skills.length }, 'there are more skills than are shown')
    if (before) this.#tell(before, scan)
    return scan
  }

  #tell(before: SkillScan, after: SkillScan): void {
    const changed = changedHomes(before.skills, after.skills)
    if (changed.size > 0) this.#deps.onChange([...changed].filter((id) => id !== null))
  }
}

/** A path that is too long to be asked for is not shown either. */
const nameable = (scan: SkillScan): SkillScan => ({
  ...scan,
  skills: scan.skills.filter(({ spot }) => skillPathOf(spot).length <= SKILL_PATH_CHARS_MAX),
})

/** Whose skills differ: of projects, or (null) of the home directory. */
function changedHomes(before: readonly SkillFile[], after: readonly SkillFile[]): Set<ProjectId | null> {
  const seen = new Map(before.map((skill) => [skillPathOf(skill.spot), skill]))
  const changed = new Set<ProjectId | null>()
  for (const skill of after) {
    const path = skillPathOf(skill.spot)
    const earlier = seen.get(path)
    if (earlier?.stamp !== skill.stamp || earlier.enabled !== skill.enabled) changed.add(skill.spot.home.projectId)
    seen.delete(path)
  }
  for (const { spot } of seen.values()) changed.add(spot.home.projectId)
  return changed
}
