import { existsSync } from 'node:fs'
import { chromium, type Browser, type Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { FIRST_USER, startGatewayLab, type GatewayLab } from '../support/gateway-lab.ts'

const CHROMIUM = '/usr/bin/chromium'

describe.skipIf(!existsSync(CHROMIUM))('the first page in Chromium', () => {
  let lab: GatewayLab
  let browser: Browser
  beforeAll(async () => {
    lab = await startGatewayLab({}, { register: false })
    browser = await chromium.launch({ executablePath: CHROMIUM })
  })
  afterAll(async () => {
    await browser.close()
    await lab.stop()
  })

  /** A fresh tab, and everything the browser complained about in it. */
  const openPage = async (): Promise<{ page: Page; complaints: string[] }> => {
    const page = await (await browser.newContext()).newPage()
    const complaints: string[] = []
    page.on('pageerror', (error) => complaints.push(error.message))
    page.on('console', (message) => {
      if (message.type() === 'error' && !message.text().includes('status of 4')) complaints.push(message.text())
    })
    await page.goto(lab.url)
    return { page, complaints }
  }

  it('registers the first user by keyboard alone, and shows members, projects and tasks as they come', async () => {
    const { page, complaints } = await openPage()
    await page.getByRole('heading', { name: 'Make the first user of this mesh' }).waitFor()
    expect(await page.getByLabel('Invitation').isVisible()).toBe(false)
    await page.locator('#register input[name=name]').focus()
    const code = lab.services.accounts.setupCode() ?? ''
    for (const text of [FIRST_USER.name, FIRST_USER.email, FIRST_USER.password, FIRST_USER.password, code]) {
      await page.keyboard.insertText(text)
      await page.keyboard.press('Tab')
    }
    await page.keyboard.press('Enter')
    await page.locator('#members tr', { hasText: 'nest' }).waitFor()
    await page.locator('#live', { hasText: 'Live' }).waitFor()
    expect(await page.evaluate('document.activeElement.id')).toBe('members-title')

    const token = String(await page.evaluate("sessionStorage.getItem('rookery-token')"))
    const machine = lab.services.machines.self
    const name = '<img src=x onerror=alert(1)>'
    const made = await lab.call('POST', `/api/machines/${machine}/projects`, {
      token,
      body: { name, project_path: '/tmp' },
    })
    expect(made.status).toBe(201)
    await page.getByRole('heading', { name }).waitFor()
    expect(await page.locator('#projects img').count()).toBe(0)
    const path = `/api/projects/${made.json.data.id}/tasks`
    await lab.call('POST', path, { token, body: { title: 'Feed the young', priority: 'high' } })
    await page.getByRole('row', { name: 'Feed the young high pending' }).waitFor()

    await page.getByRole('button', { name: 'Sign out' }).click()
    await page.getByRole('heading', { name: 'Sign in' }).waitFor()
    await page.getByText('You need an invitation').waitFor()
    expect(await page.getByLabel('Setup code').isVisible()).toBe(false)
    expect((await lab.call('GET', '/api/auth/me', { token })).status).toBe(401)
    expect(complaints).toEqual([])
  })

  it('signs in, says what is wrong, and asks again once the token is revoked', async () => {
    const { page, complaints } = await openPage()
    const signIn = async (password: string): Promise<void> => {
      await page.locator('#sign-in input[name=email]').fill(FIRST_USER.email)
      await page.locator('#sign-in input[name=password]').fill(password)
      await page.locator('#sign-in button').click()
    }
    await signIn('wrong')
    await page.getByRole('alert').filter({ hasText: 'password is wrong' }).waitFor()
    await signIn(FIRST_USER.password)
    await page.locator('#live', { hasText: 'Live' }).waitFor()
    await page.reload()
    await page.locator('#live', { hasText: 'Live' }).waitFor()
    const token = String(await page.evaluate("sessionStorage.getItem('rookery-token')"))
    await lab.call('POST', '/api/auth/logout', { token })
    await page.getByRole('alert').filter({ hasText: 'sign in again' }).waitFor()
    expect(complaints).toEqual([])
  })

  it('shows the API documentation under its policy', async () => {
    const { page, complaints } = await openPage()
    await page.goto(`${lab.url}/docs`)
    await page.getByText('/api/tasks/{id}/claim').waitFor()
    expect(complaints).toEqual([])
  })
})
