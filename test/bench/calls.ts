import { fork } from 'node:child_process'
import { once } from 'node:events'
import { resolve } from 'node:path'
import type { Context } from './benchmark.ts'
import { endProcess } from './server-process.ts'

/** What a child process can be asked for. Inputs and results cross a pipe, so they are plain data. */
export type Calls = Readonly<Record<string, (input: never) => unknown>>

type Question = { readonly id: number; readonly name: string; readonly input: unknown }
type Answer = { readonly id: number; readonly value?: unknown; readonly error?: string }

export type Child<C extends Calls> = {
  call<N extends keyof C & string>(name: N, ...input: Parameters<C[N]>): Promise<Awaited<ReturnType<C[N]>>>
  readonly pid: number
  stop(): Promise<void>
}

/** In the child: answers the parent until it goes away, and ends with it. */
export function answerCalls(calls: Calls, onStop: () => unknown = () => undefined): void {
  const byName = new Map<string, (input: never) => unknown>(Object.entries(calls))
  process.on('message', ({ id, name, input }: Question) => {
    const answer = async (): Promise<unknown> => await byName.get(name)?.(input as never)
    answer().then(
      (value) => process.send?.({ id, value } satisfies Answer),
      (error: unknown) => process.send?.({ id, error: String(error instanceof Error ? error.stack : error) }),
    )
  })
  const stop = (): void => void Promise.resolve(onStop()).finally(() => process.exit(0))
  process.once('disconnect', stop)
  process.once('SIGTERM', stop)
  // Ctrl-C reaches the whole process group; the parent ends its children in order.
  process.on('SIGINT', () => undefined)
  process.send?.('ready')
}

/** In the parent: starts a program of `peers/` and resolves when it takes calls. */
export async function startChild<C extends Calls>(
  context: Context,
  program: string,
  args: readonly string[] = [],
): Promise<Child<C>> {
  const child = fork(resolve(import.meta.dirname, 'peers', `${program}.ts`), args, {
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    serialization: 'advanced',
  })
  // A node stores what makes its next start quick.
  const stop = (): Promise<void> => endProcess(child, 20_000)
  context.defer(stop)
  const waiting = new Map<number, PromiseWithResolvers<unknown>>()
  child.on('exit', (code) => {
    for (const { reject } of waiting.values()) reject(new Error(`${program} ended with ${code}`))
    waiting.clear()
  })
  const failed = once(child, 'exit').then(([code]) => Promise.reject(new Error(`${program} ended with ${code}`)))
  await Promise.race([once(child, 'message'), failed])
  failed.catch(() => undefined) // from here on the calls tell
  child.on('message', ({ id, value, error }: Answer) => {
    const caller = waiting.get(id)
    waiting.delete(id)
    if (error === undefined) caller?.resolve(value)
    else caller?.reject(new Error(`${program}: ${error}`))
  })
  let next = 0
  const call = async (name: string, input?: unknown): Promise<unknown> => {
    const caller = Promise.withResolvers<unknown>()
    waiting.set(++next, caller)
    child.send({ id: next, name, input } satisfies Question)
    return await caller.promise
  }
  return { call: call as Child<C>['call'], pid: child.pid ?? 0, stop }
}
