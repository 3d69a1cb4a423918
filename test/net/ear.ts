import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { resolve } from 'node:path'
import { createInterface } from 'node:readline'
import type { Host } from './lab.ts'

const LISTENER = resolve(import.meta.dirname, 'listen.ts')

/** An outsider's host that hears what is broadcast on its LAN. */
export type Ear = {
  /** Packets in hex. */
  readonly heard: readonly string[]
  stop(): void
}

/** Listens at a UDP port, and to a multicast group there. Resolves when it hears. */
export async function listen(host: Host, port: number, group?: string): Promise<Ear> {
  const line = [...host.within, process.execPath, LISTENER, String(port), ...(group === undefined ? [] : [group])]
  const child = spawn(line[0]!, line.slice(1), { stdio: ['ignore', 'pipe', 'inherit'] })
  const lines = createInterface({ input: child.stdout })
  await once(lines, 'line')
  const heard: string[] = []
  lines.on('line', (packet) => heard.push(packet))
  return { heard, stop: () => void child.kill('SIGKILL') }
}
