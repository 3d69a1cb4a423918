import { domainError } from '../../crdt/errors.ts'
import type { PeerId } from '../../crdt/ids.ts'
import { err, ok, type Result } from '../../crdt/result.ts'
import type { RestorationView } from '../services/feeds/restoration.ts'
import type { ControlContext } from './control-method.ts'

export type RestoredView = {
  /** False when nothing keeps this node from writing. */
  readonly isRestoring: boolean
  readonly problem: string | null
  readonly cause: RestorationView['cause'] | null
  readonly since: string | null
  readonly asOf: string | null
  readonly awaited: readonly { readonly peerId: PeerId; readonly name: string; readonly online: boolean }[]
  /** Names of members that have heard another copy of this node a short while ago. */
  readonly seenBy: readonly string[]
}

type Context = Pick<ControlContext, 'services' | 'restoration'>

export function restoredView({ services, restoration }: Context): RestoredView {
  const view = restoration.view()
  const members = new Map(services.mesh.members().map((member) => [member.peerId, member]))
  const nameOf = (peer: PeerId): string => members.get(peer)?.name ?? peer
  return {
    isRestoring: view !== undefined,
    problem: restoration.refusal() ?? null,
    cause: view?.cause ?? null,
    since: view ? new Date(view.since).toISOString() : null,
    asOf: view ? new Date(view.asOf).toISOString() : null,
    awaited: (view?.awaited ?? []).map((peerId) => ({
      peerId,
      name: nameOf(peerId),
      online: members.get(peerId)?.online ?? false,
    })),
    seenBy: (view?.seenBy ?? []).map(nameOf),
  }
}

/** @errors member_not_found for one that is not awaited */
export async function goOnWithout(context: Context, wanted: readonly string[]): Promise<Result<RestoredView>> {
  const { awaited } = restoredView(context)
  const found = wanted.map((one) => awaited.filter(({ peerId, name }) => peerId === one || name === one))
  const unclear = wanted.find((_one, i) => found[i]?.length !== 1)
  if (unclear !== undefined)
    return err(
      domainError('member_not_found', {
        message: `${unclear} is not the name or peer id of one member that is awaited.`,
      }),
    )
  await context.restoration.goOnWithout(found.flat().map(({ peerId }) => peerId))
  return ok(restoredView(context))
}
