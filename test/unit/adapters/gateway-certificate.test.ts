import { X509Certificate } from 'node:crypto'
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import {
  CertificateError,
  ownCertificate,
  readCertificate,
  type Renewal,
} from '../../../node/adapters/gateway-certificate.ts'
import { namesOf } from '../../../node/cli/gateway-tls.ts'

const DAY_MS = 86_400_000
const NOW_MS = Date.UTC(2026, 10, 28)
const NAMES = ['localhost', '127.0.0.1', '::1', 'desk.local', 'fd00::17:2']

let directory: string
let file: string
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'rk-certificate-'))
  file = join(directory, 'gateway-tls.pem')
})
afterEach(() => rm(directory, { recursive: true, force: true }))

let renewals: Renewal[]
beforeEach(() => {
  renewals = []
})
const made = (nowMs = NOW_MS, names = NAMES) =>
  ownCertificate(directory, { names, nowMs, onRenewal: (renewal) => renewals.push(renewal) })

it('makes a certificate for the names, keeps it 0600, and serves the same one from then on', async () => {
  const first = await made()
  const parsed = new X509Certificate(first.cert)
  expect(NAMES.map((name) => parsed.checkHost(name) ?? parsed.checkIP(name))).toEqual(NAMES)
  expect([parsed.verify(parsed.publicKey), parsed.ca, first.fingerprint]).toEqual([true, false, parsed.fingerprint256])
  expect((await stat(file)).mode & 0o777).toBe(0o600)
  expect(renewals).toEqual([])
  expect(await made()).toEqual({ ...first, cert: expect.any(String), key: expect.any(String) })
})

it('renews it 30 days before its end, and where a name is missing or the file is damaged, and tells of it', async () => {
  const first = await made()
  const end = first.validUntil.getTime()
  expect((await made(end - 31 * DAY_MS)).fingerprint).toBe(first.fingerprint)
  const second = await made(end - 29 * DAY_MS)
  expect(second.validUntil.getTime()).toBeGreaterThan(end)
  const third = await made(end - 29 * DAY_MS, [...NAMES, 'board.example'])
  await writeFile(file, (await readFile(file, 'utf8')).slice(0, 200))
  const fourth = await made(end - 29 * DAY_MS)
  expect(new Set([first, second, third, fourth].map(({ fingerprint }) => fingerprint)).size).toBe(4)
  expect(renewals).toEqual([
    { before: first.fingerprint, now: second.fingerprint, why: 'it would have ended within 30 days' },
    { before: second.fingerprint, now: third.fingerprint, why: 'it did not name board.example' },
    { before: null, now: fourth.fingerprint, why: 'its file was damaged' },
  ])
})

it('keeps it, and so the fingerprint that others have kept, when a name is needed no more', async () => {
  const first = await made(NOW_MS, [...NAMES, 'board.example'])
  expect((await made()).fingerprint).toBe(first.fingerprint)
})

it('names the host of the public address, and addresses of either kind', () => {
  const hosts = ['nest.lan:8000', '[fd00::17]:8000', '192.0.2.7:8000', 'not a name']
  expect(namesOf({ host: '0.0.0.0', hosts, publicUrl: 'https://Board.Example:8443' })).toEqual(
    expect.arrayContaining(['localhost', 'nest.lan', 'fd00::17', '192.0.2.7', 'board.example']),
  )
  expect(namesOf({ host: '::', hosts: [], publicUrl: 'https://[fd00::18]' })).toContain('fd00::18')
  expect(namesOf({ host: '0.0.0.0', hosts })).not.toContain('not a name')
})

it("takes the operator's own, and says what is wrong with them", async () => {
  const { fingerprint, key, cert } = await made()
  const [certFile, keyFile] = [join(directory, 'own.crt'), join(directory, 'own.key')]
  await expect(readCertificate({ certFile, keyFile })).rejects.toThrow(CertificateError)
  await writeFile(certFile, cert)
  await writeFile(keyFile, key)
  expect((await readCertificate({ certFile, keyFile })).fingerprint).toBe(fingerprint)
  const other = await mkdtemp(join(directory, 'other-'))
  await writeFile(keyFile, (await ownCertificate(other, { names: NAMES, nowMs: NOW_MS })).key)
  await expect(readCertificate({ certFile, keyFile })).rejects.toThrow('not that of the certificate')
})
