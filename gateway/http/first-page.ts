import { readFile } from 'node:fs/promises'
import type { FastifyInstance } from 'fastify'
import type { Speak } from './gate.ts'

const PAGE_CSP =
  "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; " +
  "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

/** In the bundle the page lies beside the code. */
const PAGE = new URL(import.meta.url.endsWith('.ts') ? '../dashboard/page/' : './page/', import.meta.url)

const INDEX = { file: 'index.html', type: 'text/html; charset=utf-8' } as const

const FILES = {
  '/': INDEX,
  // Where providers send the browser back to.
  '/sign-in/google': INDEX,
  '/sign-in/github': INDEX,
  '/app.js': { file: 'app.js', type: 'text/javascript; charset=utf-8' },
  '/pairing.js': { file: 'pairing.js', type: 'text/javascript; charset=utf-8' },
  '/waking.js': { file: 'waking.js', type: 'text/javascript; charset=utf-8' },
  '/sign-in.js': { file: 'sign-in.js', type: 'text/javascript; charset=utf-8' },
  '/style.css': { file: 'style.css', type: 'text/css; charset=utf-8' },
  '/favicon.svg': { file: 'favicon.svg', type: 'image/svg+xml' },
} as const

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
