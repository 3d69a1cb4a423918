import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { chromium, type Browser, type Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { FIRST_USER, startGatewayLab, type GatewayLab } from '../support/gateway-lab.ts'
import { IS_LONG } from '../support/long.ts'
import { MEMORY } from '../support/mcp-servers.ts'

const CHROMIUM = '/usr/bin/chromium'
const SKILLS = IS_LONG ? 10_000 : 45

/** Prints a line, then waits to be told to go on, by a file. */
const MAKEFILE = `steps:
\t@printf '\\033[32mfirst\\033[0m\\n'; while [ ! -e go ]; do sleep 0.05; done; echo second; exit 3
forever:
\t@echo started; sleep 1000
clean:
\trm -rf dist
`

describe.skipIf(!existsSync(CHROMIUM))('what a machine has, on the page in Chromium', () => {
  let lab: GatewayLab
  let browser: Browser
  let folder: string
  let page: Page
  const complaints: string[] = []

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'rk-machine-page-'))
    await writeFile(join(folder, 'Makefile'), MAKEFILE)
    await writeFile(join(folder, 'package.json'), JSON.stringify({ scripts: { say: 'echo' } }))
    const memory = { command: process.execPath, args: [MEMORY, 'two words'] }
    await writeFile(join(folder, '.mcp.json'), JSON.stringify({ mcpServers: { memory } }))
    for (let n = 0; n < SKILLS; n++) await writeSkill(`skill-${String(n).padStart(5, '0')}`)
    lab = await startGatewayLab()
    const path = `/api/machines/${lab.services.machines.self}/projects`
    await lab.call('POST', path, { body: { name: 'Nest', project_path: folder } })
    browser = await chromium.launch({ executablePath: CHROMIUM })
    page = await browser.newPage()
    page.on('pageerror', (error) => complaints.push(error.message))
    page.on('console', (message) => {
      if (message.type() === 'error' && !message.text().includes('status of 4')) complaints.push(message.text())
    })
    await page.goto(lab.url)
    await page.locator('#sign-in input[name=email]').fill(FIRST_USER.email)
    await page.locator('#sign-in input[name=password]').fill(FIRST_USER.password)
    await page.keyboard.press('Enter')
    await page.locator('#live', { hasText: 'Live' }).waitFor()
  })
  afterAll(async () => {
    await browser.close()
    await lab.stop()
    await rm(folder, { recursive: true, force: true })
  })

  async function writeSkill(name: string): Promise<void> {
    const place = join(folder, '.claude/skills', name)
    await mkdir(place, { recursive: true })
    await writeFile(join(place, 'SKILL.md'), `---\nname: ${name}\ndescription: <b>${name}</b>\n---\nDo it.\n`)
  }

  const focused = (): Promise<unknown> => page.evaluate('document.activeElement.getAttribute("aria-label")')

  it('opens and closes by keyboard, and shows a page of each list', async () => {
    await page.getByRole('button', { name: 'Tools of nest' }).focus()
    await page.keyboard.press('Enter')
    await page.getByRole('heading', { name: 'On nest' }).waitFor()
    expect(await page.evaluate('document.activeElement.id')).toBe('machine-title')
    await page.getByText(`Skills (${SKILLS})`).waitFor()
    await page.getByText(`1–20 of ${SKILLS}`).waitFor()
    expect(await page.locator('#skills-list tbody tr').count()).toBe(20)
    expect(await page.locator('#skills-list b').count(), 'markup of a skill').toBe(0)
    await page.getByText('Commands (4)').waitFor()
    await page.getByText('MCP servers (1)').waitFor()
    await page.getByText('Nothing was run yet.').waitFor()
    await page.getByRole('button', { name: 'Close', exact: true }).press('Enter')
    expect(await focused()).toBe('Tools of nest')
    await page.keyboard.press('Enter')
    await page.getByText(`1–20 of ${SKILLS}`).waitFor()
  })

  it('turns pages, searches at the server, and says that nothing was found', async () => {
    const pager = page.locator('#skills-list')
    await pager.getByRole('button', { name: 'Next' }).click()
    await page.getByText(`21–40 of ${SKILLS}`).waitFor()
    await pager.getByRole('button', { name: 'Previous' }).click()
    await page.getByText(`1–20 of ${SKILLS}`).waitFor()
    await page.getByLabel('Search skills').fill('skill-00042')
    await page.getByRole('row', { name: 'skill-00042' }).waitFor()
    expect(await page.locator('#skills-list tbody tr').count()).toBe(1)
    await page.getByLabel('Search skills').fill('no such thing')
    await page.getByText('Nothing is found for “no such thing”.').waitFor()
    await page.getByLabel('Search skills').fill('skill-00042')
    await page.getByRole('row', { name: 'skill-00042' }).waitFor()
  })

  it('disables and enables a skill, keeps the focus, and shows what others change', async () => {
    await page.getByRole('button', { name: 'Disable skill-00042' }).press('Enter')
    await page.getByText('skill-00042 is disabled: agents do not see it.').waitFor()
    expect(await focused()).toBe('Enable skill-00042')
    expect(existsSync(join(folder, '.claude/skills/skill-00042/SKILL.md.disabled'))).toBe(true)
    await page.keyboard.press('Enter')
    await page.getByText('skill-00042 is enabled').waitFor()
    const self = lab.services.machines.self
    const { json } = await lab.call('GET', `/api/machines/${self}/skills?search=skill-00042`)
    await lab.call('PATCH', `/api/machines/${self}/skills/${json.data[0].path}`, { body: { enabled: false } })
    await page.getByRole('button', { name: 'Enable skill-00042' }).waitFor()
  })

  it('approves an MCP server only after all of it was shown, then starts and stops it', async () => {
    await page.getByRole('button', { name: 'Approve memory' }).press('Enter')
    const dialog = page.getByRole('dialog', { name: 'Let memory run on nest?' })
    expect(await dialog.innerText()).toContain(`${MEMORY} "two words"`)
    await page.keyboard.press('Escape')
    expect(await focused()).toBe('Approve memory')
    await page.keyboard.press('Enter')
    await dialog.getByRole('button', { name: 'Leave it' }).click()
    expect(await page.getByRole('button', { name: 'Start memory' }).count()).toBe(0)
    await page.getByRole('button', { name: 'Approve memory' }).click()
    await dialog.getByRole('button', { name: 'Approve' }).click()
    await page.getByText('memory is approved, as long as it stays what it is.').waitFor()
    await page.getByRole('button', { name: 'Start memory' }).press('Enter')
    await page.getByText('memory runs.').waitFor()
    expect(await focused()).toBe('Stop memory')
    await page.getByRole('row', { name: /memory .* running 9/ }).waitFor()
    await page.keyboard.press('Enter')
    await page.getByText('memory is stopped.').waitFor()
  })

  it('runs a command, and shows its output as it comes and how it ended', async () => {
    await page.getByLabel('Search commands').fill('steps')
    await page.getByRole('button', { name: 'Run make steps' }).press('Enter')
    await page.getByRole('dialog', { name: 'Run make steps on nest' }).getByRole('button', { name: 'Run it' }).click()
    const output = page.locator('#execution-output')
    await output.filter({ hasText: 'first' }).waitFor()
    expect(await output.textContent()).toBe('first\n')
    await page.locator('#execution-state', { hasText: 'running' }).waitFor()
    await writeFile(join(folder, 'go'), '')
    await output.filter({ hasText: 'second' }).waitFor()
    await page.locator('#execution-state', { hasText: 'failed, exit code' }).waitFor()
    expect(await page.getByRole('button', { name: 'Cancel it' }).isVisible()).toBe(false)
    await page.getByRole('row', { name: /make steps .* failed, exit code/ }).waitFor()
    await page.getByRole('button', { name: 'Close the output' }).click()
    expect(await focused()).toBe('Output make steps')
    await page.keyboard.press('Enter')
    await output.filter({ hasText: 'second' }).waitFor()
  })

  it('asks for what a command takes, warns of a dangerous one, and cancels', async () => {
    await page.getByLabel('Search commands').fill('')
    await page.getByRole('button', { name: 'Run npm run say' }).click()
    const dialog = page.getByRole('dialog')
    expect(await dialog.getByText('It may delete').isVisible()).toBe(false)
    await dialog.getByLabel('arguments').fill('one word\n<i>two</i>')
    await dialog.getByRole('button', { name: 'Run it' }).click()
    await page.locator('#execution-output', { hasText: 'one word <i>two</i>' }).waitFor()
    await page.getByRole('button', { name: 'Run make clean' }).click()
    await dialog.getByText('It may delete').waitFor()
    await page.keyboard.press('Escape')
    await page.getByRole('button', { name: 'Run make forever' }).click()
    await dialog.getByRole('button', { name: 'Run it' }).click()
    await page.locator('#execution-output', { hasText: 'started' }).waitFor()
    await page.getByRole('button', { name: 'Cancel it' }).click()
    await page.locator('#execution-state', { hasText: 'cancelled' }).waitFor()
  })

  it('says what is wrong when the server cannot be asked, and comes back by itself', async () => {
    await page.route('**/skills?*', (route) => route.abort(), { times: 1 })
    await page.getByLabel('Search skills').fill('skill-00007')
    await page.locator('#skills-list .problem').waitFor()
    expect(await page.locator('#skills-list tbody tr').count()).toBe(0)
    await writeFile(join(folder, '.claude/skills/skill-00007/SKILL.md'), '---\nname: skill-00007\n---\nAnew.\n')
    await page.getByRole('row', { name: 'skill-00007' }).waitFor()
    expect(await readFile(join(folder, '.claude/skills/skill-00007/SKILL.md'), 'utf8')).toContain('Anew.')
  })

  it('stays within a narrow window, and closes when somebody signs out', async () => {
    await page.setViewportSize({ width: 360, height: 740 })
    expect(await page.evaluate('document.documentElement.scrollWidth')).toBe(360)
    await page.getByRole('button', { name: 'Sign out' }).click()
    await page.getByRole('heading', { name: 'Sign in' }).waitFor()
    expect(await page.locator('#machine').isVisible()).toBe(false)
    expect(complaints.filter((complaint) => !complaint.includes('ERR_FAILED'))).toEqual([])
  })
})
