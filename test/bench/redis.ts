import { once } from 'node:events'
import { connect } from 'node:net'

const TTL_MS = 60_000

/** Gives back only what is one's own. */
const COMPARE_AND_DELETE =
  "if redis.call('get',KEYS[1])==ARGV[1] then return redis.call('del',KEYS[1]) else return 0 end"
const OWNER = 'bench'

export type RedisClient = {
  /** `SET key value NX PX ttl`: takes the key if nobody has it. */
  claim(key: string): Promise<boolean>
  release(key: string): Promise<boolean>
  close(): void
}

/** One connection; what is asked while an answer is under way is pipelined. */
export async function connectRedis(port: number): Promise<RedisClient> {
  const socket = connect(port, '127.0.0.1')
  socket.setNoDelay(true)
  await once(socket, 'connect')
  const waiting: PromiseWithResolvers<string>[] = []
  let rest = ''
  socket.setEncoding('latin1').on('data', (text: string) => {
    const lines = (rest + text).split('\r\n')
    rest = lines.pop() ?? ''
    for (const line of lines) {
      const caller = waiting.shift()
      if (line.startsWith('-')) caller?.reject(new Error(`redis: ${line.slice(1)}`))
      else caller?.resolve(line)
    }
  })
  /** Only for commands that are answered with one line. */
  const ask = (...words: readonly string[]): Promise<string> => {
    socket.write(`*${words.length}\r\n${words.map((word) => `$${Buffer.byteLength(word)}\r\n${word}\r\n`).join('')}`)
    const caller = Promise.withResolvers<string>()
    waiting.push(caller)
    return caller.promise
  }
  return {
    // `$-1`: somebody has it
    claim: async (key) => (await ask('SET', key, OWNER, 'NX', 'PX', String(TTL_MS))) === '+OK',
    release: async (key) => (await ask('EVAL', COMPARE_AND_DELETE, '1', key, OWNER)) === ':1',
    close: () => socket.destroy(),
  }
}
