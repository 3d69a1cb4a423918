import { createSkillFiles } from '../adapters/skills/skill-files.ts'
import type { MachineProbe } from '../ports/machine-probe.ts'
import type { Rpc } from '../services/rpc/rpc.ts'
import type { Services } from '../services/services.ts'
import { createSkillService } from '../services/skills/skill-composition.ts'
import type { SkillAccess } from '../services/skills/skill-deps.ts'
import type { SkillService } from '../services/skills/skill-service.ts'
import type { Cleanup, MeshCore, MeshNodeDeps } from './mesh-core.ts'

type Around = Pick<Services, 'machines' | 'projects' | 'events'> & {
  readonly rpc: Rpc
  readonly probe: Pick<MachineProbe, 'account'>
}

/** Skills of this machine, of the node's own user and of the projects that lie here. */
export function openSkills(
  { config, audit }: MeshNodeDeps,
  { means, self, network, contacts }: MeshCore,
  { probe, ...deps }: Around,
  cleanup: Cleanup,
): SkillService {
  const skills = createSkillService({
    ...means,
    ...deps,
    self,
    files: createSkillFiles(),
    home: probe.account().home,
    connected: () => network.connected(),
    refusal: ({ access, from }) =>
      from === self ? undefined : (skillRefusal(config, access) ?? contacts.refusal(from)),
    audit,
  })
  cleanup.push(() => skills.stop())
  return skills
}

/** Whoever may write a skill may have commands run by it: no machine lets others do that which takes no sessions from them. */
function skillRefusal({ skills, sessions }: MeshNodeDeps['config'], access: SkillAccess): string | undefined {
  if (skills.remote === 'off') return 'This machine shows its skills to no other (skills.remote).'
  if (access === 'read' || (skills.remote === 'write' && sessions.remote)) return undefined
  const setting = sessions.remote ? 'skills.remote' : 'sessions.remote'
  return `This machine lets no other change its skills (${setting}).`
}
