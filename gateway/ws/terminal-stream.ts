import type { SessionOutput, SessionViewer } from '../../node/services/sessions/session-service.ts'
import { incompleteTail } from './utf8.ts'

/** What a terminal's subscriber is told, in order. Positions count bytes of output from the session's start. */
export type TerminalMessage =
  | { readonly name: 'session:output'; readonly data: { data: string; seq: number; end: number } }
  | { readonly name: 'session:gap'; readonly data: { from: number; to: number } }
  | { readonly name: 'session:terminated'; readonly data: { exit_code: number | null; signal: string | null } }
  /** The session goes on without this viewer: it read too slowly, or the machine is out of reach. */
  | { readonly name: 'session:detached'; readonly data: { reason: 'slow' | 'offline' } }

/** What is put out by a command is told under names of its own. */
export const COMMAND_NAMES = {
  'session:output': 'command:output',
  'session:gap': 'command:gap',
  'session:terminated': 'command:exited',
  'session:detached': 'command:detached',
} as const satisfies Record<TerminalMessage['name'], string>

/**
 * Pumps a viewer into `send` until the session or the viewer ends. Characters are never split over messages. A chunk is
 * acknowledged only when `send` has resolved true, so a subscriber that does not read stops the source and nothing
 * piles up here; false ends the stream.
 */
export async function streamTerminal(
  viewer: Pick<SessionViewer, 'output' | 'acknowledge'>,
  send: (message: TerminalMessage) => Promise<boolean>,
): Promise<void> {
  const decoder = new TextDecoder('utf-8', { ignoreBOM: true })
  let held: Uint8Array = new Uint8Array()
  let heldSeq = 0
  const sendText = async (bytes: Uint8Array, seq: number): Promise<boolean> =>
    bytes.length === 0 ||
    (await send({ name: 'session:output', data: { data: decoder.decode(bytes), seq, end: seq + bytes.length } }))

  for await (const item of viewer.output) {
    if (item.type !== 'output') {
      const isOpen = await sendText(held, heldSeq)
      held = new Uint8Array()
      if (!isOpen || !(await send(endOrGap(item))) || item.type !== 'gap') return
      continue
    }
    const bytes = held.length === 0 ? item.bytes : joined(held, item.bytes)
    const seq = item.seq - held.length
    const whole = bytes.length - incompleteTail(bytes)
    if (!(await sendText(bytes.subarray(0, whole), seq))) return
    held = bytes.slice(whole)
    heldSeq = seq + whole
    viewer.acknowledge(item.seq + item.bytes.length)
  }
}

function endOrGap(item: Exclude<SessionOutput, { type: 'output' }>): TerminalMessage {
  if (item.type === 'gap') return { name: 'session:gap', data: { from: item.from, to: item.to } }
  if (item.type === 'end') return { name: 'session:detached', data: { reason: item.reason } }
  return { name: 'session:terminated', data: { exit_code: item.exitCode, signal: item.signal } }
}

function joined(a: Uint8Array, b: Uint8Array): Uint8Array {
  const both = new Uint8Array(a.length + b.length)
  both.set(a)
  both.set(b, a.length)
  return both
}
