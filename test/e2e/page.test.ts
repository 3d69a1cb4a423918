import { existsSync } from 'node:fs'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { chromium, type Browser, type Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createScratch, joinMesh, OWNER, rookery, seesOnline, type RunningNode } from '../support/nodes.ts'

const CHROMIUM = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find(existsSync)

/** The first page in a real browser. Skipped where there is none: `apt-get install chromium` brings it. */
describe.skipIf(CHROMIUM === undefined)('the first page', () => {
  let scratch: Awaited<ReturnType<typeof createScratch>>
  let node: RunningNode
  let beta: RunningNode
  let browser: Browser
  let page: Page
  const problems: string[] = []

  beforeAll(async () => {
    scratch = await createScratch()
    node = await scratch.start('alpha')
    browser = await chromium.launch({ executablePath: CHROMIUM ?? '', args: ['--disable-background-networking'] })
    page = await browser.newPage()
    page.on('pageerror', (error) => problems.push(error.message))
    page.on('console', (message) => {
      if (message.type() === 'error') problems.push(message.text())
    })
  })
  afterAll(async () => {
    await browser?.close()
    await scratch.dispose()
  })

  /** Keeps the next request for `url` waiting until it is released. */
  async function holdNext(url: string) {
    const asked = Promise.withResolvers<void>()
    const released = Promise.withResolvers<void>()
    await page.route(
      url,
      async (route) => {
        asked.resolve()
        await released.promise
        await route.continue()
      },
      { times: 1 },
    )
    return { asked: asked.promise, release: () => released.resolve() }
  }

  /** Environment of a node that takes loopback for its LAN: what is broadcast there leaves nobody's machine. */
  async function onLan(n: number): Promise<Record<string, string>> {
    const preload = join(scratch.path, `lan-${n}.mjs`)
    const card = {
      address: '127.0.0.1',
      cidr: '127.0.0.1/8',
      family: 'IPv4',
      internal: false,
      mac: `02:00:00:00:00:0${n}`,
    }
    await writeFile(
      preload,
      `import { syncBuiltinESMExports } from 'node:module'\nimport os from 'node:os'\n` +
        `os.networkInterfaces = () => (${JSON.stringify({ lan0: [card] })})\nsyncBuiltinESMExports()\n`,
    )
    return { NODE_OPTIONS: `--import=${preload}` }
  }

  it('makes the first user from the link that `up` prints, and forgets the code', async () => {
    await page.goto(`${node.http}/#setup=${node.setupCode}`)
    await page.getByRole('heading', { name: 'Make the first user of this mesh' }).waitFor()
    expect(page.url()).toBe(`${node.http}/`)
    expect(await page.getByLabel('Setup code').inputValue()).toBe(node.setupCode)
    await page.getByLabel('Name').fill(OWNER.name)
    await page.locator('#register').getByLabel('E-mail').fill(OWNER.email)
    await page.locator('#register').getByLabel('Password', { exact: true }).fill(OWNER.password)
    await page.getByLabel('Password, again').fill(OWNER.password)
    const held = await holdNext('**/rookery/status')
    await page.keyboard.press('Enter')
    await held.asked
    expect(await page.locator('#board').isVisible(), 'a board without its members').toBe(false)
    held.release()
    await page.getByRole('heading', { name: 'Members' }).waitFor()
    expect(await page.locator('#members').innerText()).toContain('alpha')
  })

  it('shows projects, tasks, claims and members as they come, without a reload', async () => {
    const folder = join(scratch.path, 'work')
    await mkdir(folder)
    const project = (await node.cli('project', 'add', folder, '--name', 'Work')).json.id
    await page.getByRole('heading', { name: 'Work' }).waitFor()
    const task = (await node.cli('task', 'add', 'Write it down', '--project', project)).json.id
    await page.getByRole('cell', { name: 'Write it down' }).waitFor()
    await node.cli('task', 'claim', task, '--instance', 'agent-7')
    await page.getByRole('cell', { name: 'agent-7' }).waitFor()
    await node.cli('lock', 'acquire', 'src/*.ts', '--project', project, '--instance', 'agent-7')
    await page.getByRole('row', { name: /src\/\*\.ts \(all of src\/\) agent-7 .* certified/ }).waitFor()
    beta = await joinMesh(scratch, node, 'beta', { env: await onLan(2) })
    await seesOnline(node, [beta.peerId])
    await page.getByRole('row', { name: /beta online/ }).waitFor()
  })

  it('shows what people wrote as text, never as markup', async () => {
    await node.cli('task', 'add', '<img src=x onerror=alert(1)>', '--project', 'Work')
    await page.getByRole('cell', { name: '<img src=x onerror=alert(1)>' }).waitFor()
    expect(await page.locator('#projects img').count()).toBe(0)
  })

  it('offers to wake a machine that sleeps, by keyboard too, and says why it cannot', async () => {
    const wake = page.getByRole('button', { name: 'Wake' })
    expect(await wake.count()).toBe(0)
    await beta.stop()
    await wake.waitFor()
    expect(await wake.getAttribute('aria-label')).toBe('Wake beta')
    await wake.focus()
    await page.keyboard.press('Enter')
    const answer = 'beta is not woken. No member of the mesh is awake on a network of beta (127.0.0.0/8).'
    await page.getByRole('status').filter({ hasText: answer }).waitFor()
    await node.cli('task', 'add', 'Makes the page look again', '--project', 'Work')
    await page.getByRole('cell', { name: 'Makes the page look again' }).waitFor()
    expect(await wake.evaluate((button) => button === button.ownerDocument.activeElement)).toBe(true)
  })

  it('shows a machine that wants to be paired with the words to compare, and lets it in', async () => {
    const pairing = rookery(
      ['pair', node.http, '--name', 'gamma', '--yes', '--json', '--data-dir', join(scratch.path, 'gamma')],
      {},
    )
    const waiting = page.getByRole('row', { name: /gamma be a member .* at alpha/ })
    await waiting.waitFor()
    const words = await waiting.getByRole('cell').nth(3).innerText()
    await waiting.getByRole('button', { name: 'Complete gamma' }).click()
    await page.getByRole('status').filter({ hasText: 'gamma may join.' }).waitFor()
    const { code, stdout } = await pairing
    expect([code, JSON.parse(stdout.split('\n')[0] ?? '').words]).toEqual([0, words])
    await page.getByRole('row', { name: /gamma offline/ }).waitFor()
    expect(await waiting.count()).toBe(0)
  })

  it('catches up by itself after the node restarted', async () => {
    const { port } = new URL(node.http)
    await node.stop('SIGKILL')
    const args = ['--http', `127.0.0.1:${port}`]
    const again = await scratch.start('alpha', { dataDir: node.dataDir, args, env: await onLan(1) })
    await again.cli('task', 'add', 'After the restart', '--project', 'Work')
    await page.getByRole('cell', { name: 'After the restart' }).waitFor()
  })

  it('wakes it through this machine, which is on its network now, until it is there', async () => {
    const wake = page.getByRole('button', { name: 'Wake beta' })
    await wake.click()
    const answer = page.getByText('The packet that wakes beta is sent.')
    await answer.waitFor()
    await scratch.start('beta', { dataDir: beta.dataDir })
    await page.getByRole('row', { name: /beta online/ }).waitFor()
    expect([await wake.count(), await answer.count()]).toEqual([0, 0])
    expect(await page.evaluate('document.activeElement.id')).toBe('members-title')
  })

  it('signs out, and had no errors of its own', async () => {
    await page.getByRole('button', { name: 'Sign out' }).click()
    await page.getByRole('heading', { name: 'Sign in' }).waitFor()
    const own = problems.filter((problem) => !/ERR_CONNECTION_REFUSED|WebSocket connection|status of 503/.test(problem))
    expect(own).toEqual([])
  })
})
