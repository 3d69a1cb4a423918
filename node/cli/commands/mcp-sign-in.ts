import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createInterface } from 'node:readline'
import type { Command } from 'commander'
import type { McpServer } from '../../../crdt/mcp.ts'
import type { SignInAnswer } from '../../ports/mcp-sign-ins.ts'
import { ask, command, print, type CommonOptions } from '../command.ts'
import { CommandFailure, EXIT } from '../exit.ts'
import { wireServer } from '../wire.ts'

/** As long as the node waits for the answer. */
const WAIT_MS = 10 * 60_000
const CALLBACK = '/callback'

export function signInCommand(): Command {
  return command('sign-in', 'sign in at a server that asks for OAuth, through a link in a browser')
    .argument('<name>')
    .addHelpText('after', HELP)
    .action(async (name: string, options: CommonOptions) => {
      using browser = await listenForBrowser()
      const { link } = await ask<{ link: string }>(options, 'mcp.signIn', { name, redirectUrl: browser.redirectUrl })
      announce(name, link, options)
      const answer = await firstAnswer(browser, new URL(link).searchParams.get('state') ?? '')
      const server = await ask<McpServer>(options, 'mcp.finishSignIn', { name, answer })
      print(options, wireServer(server), () => [
        `You are signed in at ${name}. ${server.status === 'running' ? `It runs, with ${server.toolsCount} tools.` : `It is still starting: rookery mcp show ${name}`}`,
      ])
    })
}

export function signOutCommand(): Command {
  return command('sign-out', 'stop a server and forget the sign-in there')
    .argument('<name>')
    .action(async (name: string, options: CommonOptions) => {
      const server = await ask<McpServer>(options, 'mcp.signOut', { name })
      print(options, wireServer(server), () => [
        `${name} is stopped, and its tokens are forgotten here. To end them there, too, use the page of the service.`,
      ])
    })
}

const HELP = `
It prints a link. Whoever opens it consents at the service that the server belongs to; the browser then comes back to
this command, on this machine. Where the browser is on another one, it cannot: copy the address at which it ends
(http://127.0.0.1:…), and paste it here. The tokens stay on this machine, are used for this server alone, and renewed by
themselves.`

function announce(name: string, link: string, options: CommonOptions): void {
  if (options.json) process.stdout.write(`${JSON.stringify({ status: 'pending', link })}\n`)
  else
    process.stderr.write(
      `Open this link, and consent there, so that ${name} may be used for you:\n\n  ${link}\n\n` +
        'Waiting; Ctrl-C gives up. If the browser cannot come back here, paste the address at which it ends.\n',
    )
}

type Browser = Disposable & {
  readonly redirectUrl: string
  /** Called with every address that the browser comes to. */
  onVisit: (url: URL) => void
}

async function listenForBrowser(): Promise<Browser> {
  const server: Server = createServer((request, response) => {
    const url = URL.parse(request.url ?? '', browser.redirectUrl)
    const isAnswer = request.method === 'GET' && url?.pathname === CALLBACK
    response.writeHead(isAnswer ? 200 : 404, {
      'content-type': 'text/plain; charset=utf-8',
      'content-security-policy': "default-src 'none'",
      'referrer-policy': 'no-referrer',
      connection: 'close',
    })
    response.end(
      isAnswer ? 'Back to the terminal: it says what came of it. This window can be closed.\n' : 'Not here.\n',
    )
    if (isAnswer) browser.onVisit(url)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const browser: Browser = {
    redirectUrl: `http://127.0.0.1:${port}${CALLBACK}`,
    onVisit: () => undefined,
    [Symbol.dispose]: () => void server.close(),
  }
  return browser
}

/** What comes back for this sign-in, by the browser or pasted; anything else is not for us. */
async function firstAnswer(browser: Browser, state: string): Promise<SignInAnswer> {
  const { promise, resolve, reject } = Promise.withResolvers<SignInAnswer>()
  const take = (url: URL | null): boolean => {
    const said = url?.searchParams
    if (said?.get('state') !== state) return false
    const of = (name: string): string | undefined => said.get(name) ?? undefined
    resolve({ state, code: of('code'), iss: of('iss'), error: of('error_description') ?? of('error') })
    return true
  }
  browser.onVisit = take
  const timer = setTimeout(() => {
    reject(new CommandFailure('Nobody consented within ten minutes. Begin anew.', EXIT.refused, { code: 'expired' }))
  }, WAIT_MS)
  const pasted = process.stdin.isTTY ? createInterface({ input: process.stdin }) : undefined
  pasted?.on('line', (line) => {
    if (line.trim() !== '' && !take(URL.parse(line.trim())))
      process.stderr.write('That is not the address at which the browser ended. Paste all of it: http://127.0.0.1:…\n')
  })
  try {
    return await promise
  } finally {
    clearTimeout(timer)
    pasted?.close()
  }
}
