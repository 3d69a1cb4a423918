import { z } from 'zod'
import { ok } from '../../crdt/result.ts'
import { localActor, method, type ControlMethod } from './control-method.ts'

const code = z.string().min(1).max(16)

/** What the command line may ask about machines that want to be paired, and for one that does. */
export const PAIRING_METHODS = {
  'pairing.list': method(z.strictObject({}), ({ services, self }) => services.pairing.list(localActor(self))),
  'pairing.complete': method(
    z.strictObject({
      code,
      name: z.string().min(1).max(64).exactOptional(),
      words: z.string().max(256).exactOptional(),
      allowLegacy: z.boolean(),
    }),
    ({ services, self }, { code: of, ...choice }) => services.pairing.complete(localActor(self), of, choice),
  ),
  'pairing.refuse': method(z.strictObject({ code }), ({ services, self }, { code: of }) =>
    services.pairing.refuse(localActor(self), of),
  ),
  'mesh.mayJoin': method(z.strictObject({}), async ({ mayJoin }) => ok(await mayJoin())),
} as const satisfies Record<string, ControlMethod>
