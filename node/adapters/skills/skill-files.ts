import type { SkillFiles } from '../../ports/skill-files.ts'
import { createSkillReading, readSkill } from './skill-reading.ts'
import { watchSkillFolders } from './skill-watching.ts'
import { removeSkill, setSkillEnabled, writeSkill } from './skill-writing.ts'

/** The skills on this machine's disk. Changes are made one after the other; what others write is watched for. */
export function createSkillFiles(): SkillFiles {
  const reading = createSkillReading()
  let last: Promise<unknown> = Promise.resolve()
  const inTurn = <T>(work: () => Promise<T>): Promise<T> => {
    const done = last.then(work)
    last = done.catch(() => undefined)
    return done
  }
  return {
    scan: (homes) => reading.scan(homes),
    read: readSkill,
    write: (spot, change, options) => inTurn(() => writeSkill(spot, change, options)),
    setEnabled: (spot, enabled) => inTurn(() => setSkillEnabled(spot, enabled)),
    remove: (spot) => inTurn(() => removeSkill(spot)),
    watch: watchSkillFolders,
  }
}
