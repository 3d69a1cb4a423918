import { once } from 'node:events'
import { connect } from 'node:net'

const TTL_MS = 60_000

export type RedisClient = {
  /** `SET key value NX PX ttl`: takes the key if nobody has it. */
  claim(key: string): Promise<boolean>
  close(): void
}

/** One connection; what is asked while an answer is under way is pipelined. */
export async function connectRedis(port: number): Promise<RedisClient> {
  const socket = connect(port, '127.0.0.1')
  socket.setNoDelay(true)
  await once(socket, 'connect')
  const waiting: PromiseWithResolvers<boolean>[] = []
  let rest = ''
  socket.setEncoding('latin1').on('data', (text: string) => {
    const lines = (rest + text).split('\r\n')
    rest = lines.pop() ?? ''
    for (const line of lines) {
      const caller = waiting.shift()
      if (line.startsWith('-')) caller?.reject(new Error(`redis: ${line.slice(1)}`))
      else caller?.resolve(line === '+OK') // `$-1`: somebody has it
    }
  })
  return {
    claim(key) {
      const words = ['SET', key, 'bench', 'NX', 'PX', String(TTL_MS)]
      socket.write(`*${words.length}\r\n${words.map((word) => `$${Buffer.byteLength(word)}\r\n${word}\r\n`).join('')}`)
      const caller = Promise.withResolvers<boolean>()
      waiting.push(caller)
      return caller.promise
    },
    close: () => socket.destroy(),
  }
}
