import { createPrivateKey, randomBytes, webcrypto, X509Certificate } from 'node:crypto'
import { readFile, rename, rm } from 'node:fs/promises'
import { isIP } from 'node:net'
import { networkInterfaces } from 'node:os'
import { dirname, join } from 'node:path'
import { readIfThere, writeNewFile } from './data-directory.ts'
import { syncFolder } from './sync-folder.ts'

/** What a TLS server needs, and what people compare. PEM texts. */
export type GatewayCertificate = {
  readonly key: string
  readonly cert: string
  /** SHA-256, as browsers and openssl print it: `AB:CD:…`. */
  readonly fingerprint: string
  readonly validUntil: Date
}

/** Something about key or certificate that a person has to mend. */
export class CertificateError extends Error {
  override readonly name = 'CertificateError'
}

const DAY_MS = 86_400_000
/** What browsers accept at most. */
const VALID_DAYS = 397
/** Made anew so long before its end: a node that is started rarely must not serve an expired one. */
const RENEW_BEFORE_MS = 30 * DAY_MS

/** The operator's own. @throws CertificateError when they cannot be read, or do not belong together */
export async function readCertificate(files: { certFile: string; keyFile: string }): Promise<GatewayCertificate> {
  const read = async (path: string): Promise<string> => {
    try {
      return await readFile(path, 'utf8')
    } catch (cause) {
      throw new CertificateError(`${path} cannot be read: ${messageOf(cause)}`, { cause })
    }
  }
  const pair = { cert: await read(files.certFile), key: await read(files.keyFile) }
  try {
    return described(pair)
  } catch (cause) {
    throw new CertificateError(
      `${files.certFile} and ${files.keyFile} are not a certificate and its key (PEM): ${messageOf(cause)}`,
      { cause },
    )
  }
}

/** Told when another certificate takes the place of one: whoever has kept its fingerprint is refused from now on. */
export type Renewal = {
  /** Null where the file was damaged. */
  readonly before: string | null
  readonly now: string
  readonly why: string
}

/**
 * The certificate that this node has made for itself, made or renewed where there is none, where it ends within 30 days,
 * or where it lacks one of `names`; never because it has names that are not needed (any more). Key and certificate lie in
 * one file, mode 0600.
 */
export async function ownCertificate(
  keysDir: string,
  {
    names,
    nowMs,
    onRenewal,
  }: { names: readonly string[]; nowMs: number; onRenewal?: ((renewal: Renewal) => void) | undefined },
): Promise<GatewayCertificate> {
  const path = join(keysDir, 'gateway-tls.pem')
  const text = (await readIfThere(path))?.toString('utf8')
  const there = text === undefined ? undefined : describedIfGood(text)
  const fault = there && faultOf(there, names, nowMs)
  if (there && fault === undefined) return there
  const made = await makeCertificate(names, nowMs)
  const temporary = `${path}.new`
  await rm(temporary, { force: true })
  await writeNewFile(temporary, Buffer.from(`${made.key.trim()}\n${made.cert.trim()}\n`))
  await rename(temporary, path)
  await syncFolder(dirname(path))
  const own = described(made)
  if (text !== undefined)
    onRenewal?.({ before: there?.fingerprint ?? null, now: own.fingerprint, why: fault ?? 'its file was damaged' })
  return own
}

function describedIfGood(text: string): GatewayCertificate | undefined {
  try {
    return described({ key: text, cert: text })
  } catch {
    return undefined
  }
}

/** Why it must be made anew. */
function faultOf(
  { cert, validUntil }: GatewayCertificate,
  names: readonly string[],
  nowMs: number,
): string | undefined {
  const parsed = new X509Certificate(cert)
  const covers = (name: string): boolean =>
    (isIP(name) === 0 ? parsed.checkHost(name) : parsed.checkIP(name)) !== undefined
  if (validUntil.getTime() - nowMs <= RENEW_BEFORE_MS) return 'it would have ended within 30 days'
  if (parsed.validFromDate.getTime() > nowMs) return 'it was not valid yet'
  const missing = names.filter((name) => !covers(name))
  return missing.length === 0 ? undefined : `it did not name ${missing.join(', ')}`
}

/** @throws when they are no certificate and key, or do not belong together */
function described({ key, cert }: { key: string; cert: string }): GatewayCertificate {
  const parsed = new X509Certificate(cert)
  if (!parsed.checkPrivateKey(createPrivateKey(key))) throw new Error('the key is not that of the certificate')
  return { key, cert, fingerprint: parsed.fingerprint256, validUntil: parsed.validToDate }
}

async function makeCertificate(names: readonly string[], nowMs: number): Promise<{ key: string; cert: string }> {
  const { subtle } = webcrypto
  const keys = await subtle.generateKey({ name: 'ECDSA', namedCurve: 'P-256' }, true, ['sign', 'verify'])
  const cert = await signedCertificate(keys, [...new Set([...names, ...ownAddresses()])], nowMs)
  const pkcs8 = Buffer.from(await subtle.exportKey('pkcs8', keys.privateKey))
  const key = createPrivateKey({ key: pkcs8, format: 'der', type: 'pkcs8' }).export({ format: 'pem', type: 'pkcs8' })
  return { key: String(key), cert: new X509Certificate(cert).toString() }
}

/** An X.509 certificate (RFC 5280) for `names`, signed with its own key. In DER. */
async function signedCertificate(
  keys: webcrypto.CryptoKeyPair,
  names: readonly string[],
  nowMs: number,
): Promise<Uint8Array> {
  // Needed once a year, so not loaded at every start.
  const [asn1, pki] = await Promise.all([import('asn1js'), import('pkijs')])
  const der = (value: { toBER(): ArrayBuffer }): ArrayBuffer => value.toBER()
  const alternative = (name: string) =>
    isIP(name) === 0
      ? new pki.GeneralName({ type: SAN_DNS, value: name })
      : new pki.GeneralName({ type: SAN_IP, value: new asn1.OctetString({ valueHex: addressBytes(name) }) })
  const extension = (extnID: string, value: { toBER(): ArrayBuffer }, critical = false) =>
    new pki.Extension({ extnID, critical, extnValue: der(value) })
  const certificate = new pki.Certificate({
    version: 2,
    // Positive, as the RFC wants it.
    serialNumber: new asn1.Integer({ valueHex: Buffer.from(`40${randomBytes(15).toString('hex')}`, 'hex') }),
    // Clocks of others may be behind.
    notBefore: new pki.Time({ value: new Date(nowMs - DAY_MS) }),
    notAfter: new pki.Time({ value: new Date(nowMs + (VALID_DAYS - 1) * DAY_MS) }),
    extensions: [
      extension('2.5.29.19', new pki.BasicConstraints({ cA: false }).toSchema(), true),
      // Digital signatures only.
      extension('2.5.29.15', new asn1.BitString({ valueHex: Uint8Array.of(0x80).buffer, unusedBits: 7 }), true),
      extension('2.5.29.37', new pki.ExtKeyUsage({ keyPurposes: ['1.3.6.1.5.5.7.3.1'] }).toSchema()),
      extension('2.5.29.17', new pki.GeneralNames({ names: names.map(alternative) }).toSchema()),
    ],
  })
  const commonName = new asn1.Utf8String({ value: 'Rookery gateway' })
  for (const { typesAndValues } of [certificate.issuer, certificate.subject])
    typesAndValues.push(new pki.AttributeTypeAndValue({ type: '2.5.4.3', value: commonName }))
  const engine = new pki.CryptoEngine({ name: 'node', crypto: webcrypto })
  await certificate.subjectPublicKeyInfo.importKey(keys.publicKey, engine)
  await certificate.sign(keys.privateKey, 'SHA-256', engine)
  return new Uint8Array(der(certificate.toSchema()))
}

/** Tags of `GeneralName`. */
const SAN_DNS = 2
const SAN_IP = 7

/** The bytes of an address in text, through the one parser that Node has for them. */
function addressBytes(address: string): Uint8Array {
  if (isIP(address) === 4) return Uint8Array.from(address.split('.').map(Number))
  const groups = new URL(`http://[${address}]`).hostname.slice(1, -1).split('::')
  const [head = [], tail = []] = groups.map((part) => (part === '' ? [] : part.split(':')))
  const all = [...head, ...Array<string>(8 - head.length - tail.length).fill('0'), ...tail]
  return Uint8Array.from(all.flatMap((group) => [Number.parseInt(group, 16) >> 8, Number.parseInt(group, 16) & 255]))
}

/** Those of now; the certificate is not made anew when they change, since its fingerprint is what is relied on. */
const ownAddresses = (): string[] =>
  Object.values(networkInterfaces()).flatMap((cards = []) =>
    cards.filter(({ address }) => !address.startsWith('fe80:')).map(({ address }) => address),
  )

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))
