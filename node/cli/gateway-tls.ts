import { isIP } from 'node:net'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { type GatewayCertificate, ownCertificate, readCertificate } from '../adapters/gateway-certificate.ts'
import { type Cancel, type Clock, every } from '../ports/clock.ts'
import type { Log } from '../ports/log.ts'
import type { Config } from './config.ts'

/** How soon a certificate that was renewed, by us or by who looks after the files, is served. */
const LOOK_MS = 3_600_000

export type GatewayTls = {
  readonly current: () => GatewayCertificate
  /** Tells of every certificate that takes the place of the current one. */
  readonly watch: (onChange: (certificate: GatewayCertificate) => void) => Cancel
}

const RENEWED =
  'the certificate of the gateway is a new one: whoever has kept the fingerprint of the former must compare anew'

/** The certificate of the gateway, kept up to date; undefined without TLS. @throws CertificateError */
export async function openGatewayTls(
  http: Config['http'],
  { dataDir, clock, log }: { dataDir: string; clock: Clock; log: Log },
): Promise<GatewayTls | undefined> {
  const { tls, certFile, keyFile } = http
  const read = async (): Promise<GatewayCertificate> =>
    certFile !== undefined && keyFile !== undefined
      ? await readCertificate({ certFile, keyFile })
      : await ownCertificate(join(dataDir, 'keys'), {
          names: namesOf(http),
          nowMs: clock.wallMs(),
          onRenewal: (renewal) => log.warn(renewal, RENEWED),
        })
  if (tls === 'off' && certFile === undefined) return undefined
  let current = await read()
  return {
    current: () => current,
    watch: (onChange) =>
      every(clock, LOOK_MS, () => {
        read().then(
          (found) => {
            if (found.fingerprint === current.fingerprint) return
            current = found
            onChange(found)
          },
          (error: unknown) =>
            log.error({ err: error }, 'the certificate could not be renewed; the one so far is served'),
        )
      }),
  }
}

const ANY_ADDRESS: ReadonlySet<string> = new Set(['0.0.0.0', '::'])
const DNS_NAME = /^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$/i

/** What people may type to come here. */
export function namesOf({ host, hosts, publicUrl }: Pick<Config['http'], 'host' | 'hosts' | 'publicUrl'>): string[] {
  const configured = [
    ...hosts.map((name) => name.replace(/:\d+$/, '')),
    ...(publicUrl === undefined ? [] : [new URL(publicUrl).hostname]),
  ].map((name) => name.replace(/^\[(.*)\]$/, '$1').toLowerCase())
  const names = [hostname(), ...configured].filter((name) => isIP(name) !== 0 || DNS_NAME.test(name))
  const listening = ANY_ADDRESS.has(host) ? [] : [host]
  return [...new Set(['localhost', '127.0.0.1', '::1', ...listening, ...names])]
}
