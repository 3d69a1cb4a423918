import type { RecoveryStatus } from '../services/membership/recovery-service.ts'
import type { ElectorateView } from '../services/voters/electorate-service.ts'
import { ask } from './command.ts'
import { bad, type Finding, good, warn } from './finding.ts'
import { quorumWords, setCommand } from './voters-words.ts'

/** What would orphan the mesh or leave it without claims, asked of the running node. */
export async function checkGovernance(dataDir: string): Promise<Finding[]> {
  const recovery = await ask<RecoveryStatus>({ dataDir }, 'recovery.status')
  const electorate = await ask<ElectorateView>({ dataDir }, 'voters.view')
  return [recoveryFinding(recovery), ...voterFindings(electorate)]
}

export function recoveryFinding({ admins, keys }: RecoveryStatus): Finding {
  const former = keys.find(({ isByMember }) => !isByMember)
  if (former)
    return warn(
      'recovery key',
      `made by ${former.byName}, which was removed: whoever ran it may know the words`,
      'Replace it on an admin machine: `rookery recovery create`.',
    )
  const [key] = keys
  if (key) return good('recovery key', `made ${key.createdAt} by ${key.byName}`)
  const none = 'none'
  return admins.length > 1
    ? good('recovery key', `${none}; ${admins.length} machines are admins`)
    : warn(
        'recovery key',
        `${none}, and ${admins[0] ?? 'no machine'} is the only admin: losing it would orphan the mesh`,
        'On that machine, run `rookery recovery create` and write the words down.',
      )
}

export function voterFindings(view: ElectorateView): Finding[] {
  const problems = view.problems.map((problem) => bad('voters', problem, 'See `rookery voters`.'))
  const isAlone = view.machines.filter(({ voter }) => voter).length === 1
  if (problems.length > 0) return problems
  if (isAlone && view.suggestion)
    return [
      warn('voters', quorumWords(view), `Others are there often enough: ${setCommand(view.suggestion, view.machines)}`),
    ]
  return [good('voters', quorumWords(view))]
}
