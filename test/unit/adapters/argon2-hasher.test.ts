import { expect, it } from 'vitest'
import { createArgon2Hasher } from '../../../node/adapters/argon2-hasher.ts'

const hasher = createArgon2Hasher()

it('hashes with argon2id, 19 MiB and two passes, salted anew each time', async () => {
  const [one, two] = [await hasher.hash('a password'), await hasher.hash('a password')]
  expect(one).toMatch(/^\$argon2id\$v=19\$m=19456,t=2,p=1\$/)
  expect(one).not.toBe(two)
  expect(await hasher.verify(one, 'a password')).toBe(true)
  expect(await hasher.verify(two, 'A password')).toBe(false)
})

it.each([
  '',
  'a password',
  '$2b$10$abcdefghijklmnopqrstuv',
  '$argon2id$v=19$m=99999999,t=2,p=1$c2FsdHNhbHQ$aGFzaA',
  '$argon2id$',
])('is false for what is no hash of ours (%s)', async (stored) => {
  expect(await hasher.verify(stored, 'a password')).toBe(false)
})
