import type { Log } from '../../../node/ports/log.ts'
import type { PeerId } from '../../../crdt/ids.ts'
import { describeError } from '../violations.ts'
import type { SimNode } from './sim-node.ts'
import type { World } from './world.ts'

/** What an honest node warns of because its disk refuses, when disks do. */
const DISK_TROUBLE = [
  'received envelopes could not be written to disk',
  'evidence could not be written to disk',
  'frozen authors could not be written to disk',
  'a snapshot could not be saved',
  'a fork of a feed could not be carried out',
  'membership records could not be stored',
  'what removed members wrote could not be cut off',
  'what a member that has left keeps this node waiting for could not be saved',
]

/** Counts what nodes warn of. What has no place in a mesh of honest nodes with sound disks is a violation. */
export function simLog(world: World, node: SimNode): Log {
  const { counts, violations, plan } = world
  const warned = (fields: object, message: string): void => {
    const { author } = fields as { author?: PeerId }
    switch (message) {
      case 'envelopes refused':
        return // every refusal is looked at where it is made
      case 'what a removed member wrote, and whoever removed it had not received, was dropped':
        counts.cutsApplied += 1
        return
      case 'a feed is forked: it ends there, but for what others have built on':
        counts.forks += 1
        world.trace?.(`${node.name} ends the feed of ${author && world.nameOf(author)}: ${JSON.stringify(fields)}`)
        if (author && world.isHonest(author))
          violations.add('M12', `${node.name} ends the feed of ${world.nameOf(author)}`)
        return
      case 'refused a membership record':
        counts.refusedRecords += 1
        return
      case 'an author broke the rules of feeds and is frozen: an admin should remove it':
        counts.freezes += 1
        world.trace?.(
          `${node.name} freezes ${author && world.nameOf(author)}: ${(fields as { reason?: string }).reason}`,
        )
        if (author && world.isHonest(author))
          violations.add(
            'M12',
            `${node.name} freezes ${world.nameOf(author)}: ${(fields as { reason?: string }).reason}`,
          )
        return
      case 'replicas differ although both have applied the same envelopes':
        counts.mismatches += 1
        world.trace?.(`${node.name} differs in ${(fields as { doc?: string }).doc}`)
        if (!plan.hostile.includes('brazen')) violations.add('D3', `${node.name}: ${message}`)
        return
      case 'this replica differs from another one with the same feeds: rebuilding it':
        return
      default:
    }
    if (plan.store.refuseRate > 0 && DISK_TROUBLE.some((known) => message.startsWith(known))) return
    const { err, error } = fields as { err?: unknown; error?: unknown }
    const why = describeError(err ?? error)
    if (plan.store.refuseRate > 0 && why.includes('the simulated disk refuses')) return
    violations.add('log', `${node.name}: ${message} ${JSON.stringify(fields)} ${why}`)
  }
  return { debug: () => undefined, info: () => undefined, warn: warned, error: warned }
}
