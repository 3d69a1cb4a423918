import type { Duplex } from 'node:stream'
import type { DomainError } from '../../crdt/errors.ts'
import type { Execution } from '../../crdt/execution.ts'
import { FRAME, parseJsonPayload, readFrames } from './attach-frames.ts'
import { ask, attach, type CommonOptions } from './command.ts'
import { CommandFailure, EXIT, failureOf } from './exit.ts'
import { say } from './say.ts'

/**
 * Prints what an execution puts out, as it comes, and resolves to how it ended. Ctrl-C cancels it; a second one leaves it to
 * itself.
 */
export async function showExecution(options: CommonOptions, { id }: Execution): Promise<Execution> {
  const socket = await attach(options, `/execution/${id}`)
  const cancel = (): void => {
    process.stderr.write('cancelling…\n')
    ask(options, 'command.cancel', { id }).catch((error: unknown) => socket.destroy(error as Error))
  }
  process.once('SIGINT', cancel)
  try {
    const endsLine = await copyOutput(socket)
    if (options.json && !endsLine) process.stdout.write('\n')
    return await ended(options, id)
  } finally {
    process.off('SIGINT', cancel)
    socket.destroy()
  }
}

/** Resolves at the end of the program; true when the last line is complete. */
async function copyOutput(socket: Duplex): Promise<boolean> {
  let last = 10
  for await (const frame of readFrames(socket)) {
    if (frame.type === FRAME.output) {
      last = frame.payload.at(-1) ?? last
      if (!process.stdout.write(frame.payload)) await new Promise((r) => process.stdout.once('drain', r))
    } else if (frame.type === FRAME.refused) throw failureOf(parseJsonPayload(frame) as DomainError)
    else if (frame.type === FRAME.gap) process.stderr.write('[some output is not shown: it came too fast to be kept]\n')
    else if (frame.type === FRAME.exit && (parseJsonPayload(frame) as { type: string }).type === 'exit')
      return last === 10
  }
  throw new CommandFailure('The connection to the machine was lost; the command may run on there.', EXIT.refused, {
    code: 'machine_offline',
  })
}

async function ended(options: CommonOptions, id: string): Promise<Execution> {
  const execution = await ask<Execution>(options, 'command.ended', { id })
  if (execution.status !== 'completed') say(execution.problem ?? execution.status)
  return execution
}
