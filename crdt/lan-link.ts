import type * as Y from 'yjs'
import { z } from 'zod'

/** Layout: in the `facts` of `machine/<peer>`, beside the machine's own, so that earlier releases read on. */
const FACTS = 'facts'
const LINKS = 'links'

/** A machine has one or two networks that others share; more are a host of containers, and waking needs one. */
export const LINKS_MAX = 16

/** An interface of a machine on a network that others may share: where, and by which address, it can be woken. */
export const LanLink = z.object({
  /** Lower case, with colons. Never a group address: that would wake whoever hears it. */
  mac: z.string().regex(/^[0-9a-f][02468ace](:[0-9a-f]{2}){5}$/),
  /** IPv4, as `192.168.1.0/24`. */
  subnet: z.cidrv4(),
})
export type LanLink = z.infer<typeof LanLink>

/** The links a machine has stated last; none for one that has stated none, or nothing valid. */
export function readLinks(doc: Y.Doc): readonly LanLink[] {
  return z.array(LanLink).max(LINKS_MAX).safeParse(doc.getMap(FACTS).get(LINKS)).data ?? []
}

/** Writes the links when they differ from what is there. */
export function writeLinks(doc: Y.Doc, links: readonly LanLink[]): void {
  const kept = links.slice(0, LINKS_MAX).map(({ mac, subnet }) => ({ mac, subnet }))
  if (JSON.stringify(readLinks(doc)) !== JSON.stringify(kept)) doc.getMap(FACTS).set(LINKS, kept)
}
