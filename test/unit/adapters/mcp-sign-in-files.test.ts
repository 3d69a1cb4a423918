import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { createSignInFiles, type SignIn } from '../../../node/adapters/mcp-sign-in-files.ts'

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'rk-sign-ins-'))
})
afterEach(async () => await rm(folder, { recursive: true }))

const signIn = (url: string, token: string): SignIn => ({
  v: 1,
  url,
  redirectUrl: 'http://127.0.0.1/',
  client: { client_id: 'us' },
  tokens: { access_token: token, token_type: 'Bearer' },
})

it('a sign-in that is being renewed while others are forgotten is kept', async () => {
  const files = createSignInFiles(folder)
  const [kept, gone] = ['https://kept.test/', 'https://gone.test/']
  await files.write(signIn(kept, 'old'))
  await files.write(signIn(gone, 'old'))
  let isOver = false
  const renewing = Promise.allSettled([files.write(signIn(kept, 'new'))]).finally(() => (isOver = true))
  while (!isOver) await files.keep(new Set([kept]))
  expect(await renewing).toMatchObject([{ status: 'fulfilled' }])
  expect([await files.read(kept), await files.read(gone)]).toEqual([signIn(kept, 'new'), undefined])
})
