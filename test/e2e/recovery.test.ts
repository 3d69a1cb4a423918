import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import {
  createScratch,
  eventually,
  joinMesh,
  rookery,
  seesOnline,
  type Cli,
  type RunningNode,
} from '../support/nodes.ts'
import { filesBelow, secretsIn, storedIn } from '../support/secrets.ts'
import { IS_LONG } from '../support/long.ts'
import { rookeryInTerminal } from '../support/terminal.ts'

let scratch: Awaited<ReturnType<typeof createScratch>>
beforeEach(async () => {
  scratch = await createScratch()
})
afterEach(() => scratch.dispose())

const use = (node: RunningNode, input: string): Promise<Cli> =>
  rookery(['recovery', 'use', '--json', '--data-dir', node.dataDir], { input })

const knowsKey = (node: RunningNode, id: string): Promise<true> =>
  eventually(async () => {
    const { json } = await node.cli('recovery', 'status')
    return json.keys.some((key: { id: string }) => key.id === id) ? true : undefined
  })

it('[M21] makes an admin of another machine when the founder is lost', async () => {
  const a = await scratch.start('alpha')
  expect((await a.cli('recovery', 'status')).json).toEqual({ is_admin: true, admins: ['alpha'], keys: [] })
  const { words } = (await a.cli('recovery', 'create')).json
  const b = await joinMesh(scratch, a, 'beta')
  await seesOnline(b, [a.peerId, b.peerId])
  expect((await b.cli('recovery', 'create')).json.error.code).toBe('forbidden')
  await a.stop('SIGKILL')
  const recovered = await use(b, words)
  expect([recovered.code, recovered.json.is_admin]).toEqual([0, true])
  const [machine] = (await b.cli('members')).json.filter((m: { peer_id: string }) => m.peer_id === b.peerId)
  expect(machine.capabilities).toEqual(['admin', 'admit', 'gateway', 'control', 'run', 'vote', 'store'])
})

it.runIf(IS_LONG)('[M21] ends the words of a key when another is made, and says why words are refused', async () => {
  const a = await scratch.start('alpha')
  const first = (await a.cli('recovery', 'create')).json.words
  const again = await rookery(['recovery', 'create', '--data-dir', a.dataDir])
  const second = again.stdout.trim().split(/\s+/)
  expect([second.length, again.stderr]).toEqual([24, expect.stringContaining('good for nothing')])
  const told = async (input: string): Promise<unknown> => {
    const { code, json } = await use(a, input)
    return [code, json.error.code, json.error.message]
  }
  expect(await told(first)).toEqual([1, 'unknown_key', expect.stringContaining('Words of an earlier key')])
  expect(await told('abandon abandon')).toEqual([2, 'invalid_words', expect.stringContaining('These are 2 words')])
  expect(await told(second.with(4, 'nonsence').join(' '))).toEqual([
    2,
    'invalid_words',
    expect.stringContaining('Word 5 ("nonsence")'),
  ])
  const swapped = second.with(0, 'abandon').with(1, 'zoo').join(' ')
  expect(await told(swapped)).toEqual([2, 'invalid_words', expect.stringContaining('do not belong together')])
  expect((await use(a, second.join(' '))).code).toBe(0)
})

it('[A-T4] keeps the words out of the disk, the log and the arguments', async () => {
  const a = await scratch.start('alpha')
  const b = await joinMesh(scratch, a, 'beta')
  const { words } = (await a.cli('recovery', 'create')).json
  const { json } = await a.cli('recovery', 'status')
  await knowsKey(b, json.keys[0].id)
  expect((await use(b, words)).code).toBe(0)
  // Whoever gives them as arguments has shown them to every process already, and is told so by a refusal.
  expect((await b.cli('recovery', 'use', ...words.split(' '))).code).toBe(2)
  for (const node of [a, b]) await node.stop()
  const secrets = new Map([
    ['all words', words],
    ['some words', words.split(' ').slice(3, 6).join(' ')],
  ])
  const found: string[] = []
  const stores = new Set<string>()
  const look = (place: string, bytes: Uint8Array): void => {
    found.push(...secretsIn(bytes, secrets).map((name) => `${name} in ${place}`))
    if (secretsIn(bytes, new Map([['key', json.keys[0].by]])).length > 0) stores.add(place)
  }
  for (const node of [a, b]) {
    look(`the log of ${node.name}`, Buffer.from(node.stderr))
    for await (const [path, bytes] of filesBelow(node.dataDir)) look(path, bytes)
    for (const mesh of await readdir(join(node.dataDir, 'meshes'))) {
      const store = join(node.dataDir, 'meshes', mesh, 'store')
      for await (const bytes of storedIn(store)) look(store, bytes)
    }
  }
  expect(found).toEqual([])
  // The same search finds what is no secret, in the stores of both.
  for (const node of [a, b]) expect([...stores].filter((place) => place.startsWith(node.dataDir))).not.toEqual([])
})

it('[M21] takes the words from the keyboard without showing them', async () => {
  const a = await scratch.start('alpha')
  const words: string[] = (await a.cli('recovery', 'create')).json.words.split(' ')
  const terminal = rookeryInTerminal(['recovery', 'use', '--data-dir', a.dataDir])
  await terminal.until('not shown): ')
  // On two lines, with a slip of the finger mended.
  terminal.type(`${words.slice(0, 12).join(' ')}\r${words.slice(12).join(' ')}x\u007f\r`)
  const { code, shown } = await terminal.ended
  expect([code, shown]).toEqual([0, expect.stringContaining('This machine is now an admin')])
  expect(shown).not.toContain(words.slice(0, 3).join(' '))
})
