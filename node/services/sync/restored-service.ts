import type { MeshId, PeerId } from '../../../crdt/ids.ts'
import { MalformedError } from '../../../protocols/codec.ts'
import type { Crypto } from '../../../protocols/crypto.ts'
import { decodeHeartbeat, verifyHeartbeat } from '../../../protocols/presence.ts'
import {
  checkQuestion,
  decodeAnswer,
  encodeAnswer,
  encodeQuestion,
  RESTORED_FRAME_BYTES_MAX,
  RESTORED_PROTOCOL,
  type RestoredAnswer,
} from '../../../protocols/restored.ts'
import type { Cancel, Clock } from '../../ports/clock.ts'
import { every } from '../../ports/clock.ts'
import type { Log } from '../../ports/log.ts'
import type { Channel, PeerNetwork } from '../../ports/peer-network.ts'
import type { DocumentsService } from '../feeds/documents-service.ts'
import type { PresenceService } from './presence-service.ts'

/** What a member has of us, and whether a copy of us is still running, is asked again this often. */
const ASK_EVERY_MS = 5000
const ANSWER_MS = 10_000

export type RestoredDeps = {
  readonly mesh: MeshId
  readonly self: PeerId
  readonly network: PeerNetwork
  readonly documents: Pick<DocumentsService, 'restoration' | 'forgetWaiting' | 'headsOf'>
  readonly presence: Pick<PresenceService, 'boot' | 'lately'>
  readonly members: () => Iterable<PeerId>
  readonly crypto: Crypto
  readonly clock: Clock
  readonly log: Log
}

/**
 * Asks every member what it has of this node while that may not write (see `Restoration`), and answers the same question
 * of others.
 */
export function createRestoredService(deps: RestoredDeps): { start(): void; stop(): void } {
  const { network, documents, clock } = deps
  const cancels: Cancel[] = []
  const asked = new Set<PeerId>()
  network.handle(
    RESTORED_PROTOCOL,
    { policy: { who: 'member', capability: 'store' }, frameBytesMax: RESTORED_FRAME_BYTES_MAX, channelsPerPeerMax: 2 },
    (channel) => answer(deps, channel),
  )
  const askAll = (): void => {
    const awaited = documents.restoration.view()?.awaited ?? []
    for (const peer of awaited) {
      if (asked.has(peer) || !network.connected().includes(peer)) continue
      asked.add(peer)
      void ask(deps, peer).finally(() => asked.delete(peer))
    }
  }
  return {
    start() {
      cancels.push(network.onConnect(askAll), every(clock, ASK_EVERY_MS, askAll))
      askAll()
    },
    stop() {
      for (const cancel of cancels.splice(0)) cancel()
    },
  }
}

async function answer(
  { documents, presence, members }: Pick<RestoredDeps, 'documents' | 'presence' | 'members'>,
  channel: Channel,
): Promise<void> {
  for await (const frame of channel.frames) {
    checkQuestion(frame)
    // Its places may be given to something else now: kept, they would look like misbehaviour.
    documents.forgetWaiting(channel.peer)
    const what = {
      heads: documents.headsOf(channel.peer),
      members: [...members()],
      beats: presence.lately(channel.peer),
    }
    for (const part of encodeAnswer(what)) await channel.send(part)
    break
  }
  await channel.close()
}

/** Never rejects: a member that cannot be asked is asked again. */
async function ask(deps: RestoredDeps, peer: PeerId): Promise<void> {
  const { network, clock, documents, log } = deps
  const giveUp = new AbortController()
  const cancel = clock.after(ANSWER_MS, () => giveUp.abort(new Error('no answer in time')))
  try {
    const channel = await network.open(peer, RESTORED_PROTOCOL, giveUp.signal)
    giveUp.signal.addEventListener('abort', () => channel.abort(new Error('no answer in time')), { once: true })
    await channel.send(encodeQuestion())
    const said = await decodeAnswer(channel.frames)
    await channel.close()
    if (said === undefined) return
    const { heads, members } = said
    await documents.restoration.heard(peer, { heads, members, isElsewhere: isElsewhere(deps, said) })
  } catch (error) {
    log.debug({ peer, error: String(error) }, 'a member did not say what it has of this node')
  } finally {
    cancel()
  }
}

/** Nobody but a holder of our key can make a heartbeat of another start. */
function isElsewhere({ self, mesh, crypto, presence }: RestoredDeps, { beats }: RestoredAnswer): boolean {
  return beats.some((bytes) => {
    try {
      const beat = decodeHeartbeat(bytes)
      const isOther = beat.peer === self && beat.mesh === mesh && beat.boot !== presence.boot()
      return isOther && verifyHeartbeat(crypto, beat)
    } catch (error) {
      if (!(error instanceof MalformedError)) throw error
      return false
    }
  })
}
