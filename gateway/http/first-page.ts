import { readFile } from 'node:fs/promises'
import type { FastifyInstance } from 'fastify'
import type { Speak } from './gate.ts'

const PAGE_CSP =
  "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; " +
  "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

/** In the bundle the page lies beside the code. */
const PAGE = new URL(import.meta.url.endsWith('.ts') ? '../dashboard/page/' : './page/', import.meta.url)

const INDEX = { file: 'index.html', type: 'text/html; charset=utf-8' } as const

const MODULES = [
  'app',
  'execution',
  'live',
  'machine',
  'machine-commands',
  'machine-servers',
  'machine-skills',
  'paged-list',
  'pairing',
  'register',
  'sign-in',
  'waking',
] as const

const FILES: Readonly<Record<string, { readonly file: string; readonly type: string }>> = {
  '/': INDEX,
  // Where providers send the browser back to.
  '/sign-in/google': INDEX,
  '/sign-in/github': INDEX,
  ...Object.fromEntries(
    MODULES.map((name) => [`/${name}.js`, { file: `${name}.js`, type: 'text/javascript; charset=utf-8' }]),
  ),
  '/style.css': { file: 'style.css', type: 'text/css; charset=utf-8' },
  '/favicon.svg': { file: 'favicon.svg', type: 'image/svg+xml' },
}

/** Serves the first page. It holds no secret; what it shows it asks for with the person's own token. */
export function mountFirstPage(app: FastifyInstance, { appKey, speak }: { appKey: string; speak: Speak }): void {
  app.register(async (scope) => {
    for (const [url, { file, type }] of Object.entries(FILES)) {
      const text = await readFile(new URL(file, PAGE), 'utf8')
      const body = text.replace('{{app-key}}', escapeAttribute(appKey))
      scope.get(url, { config: { gate: { policy: 'public', group: 'page', speak } } }, async (_request, reply) =>
        reply.header('content-security-policy', PAGE_CSP).header('cache-control', 'no-cache').type(type).send(body),
      )
    }
  })
}

const escapeAttribute = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('"', '&quot;').replaceAll('<', '&lt;')
