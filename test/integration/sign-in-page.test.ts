import { existsSync } from 'node:fs'
import { chromium, type Browser, type Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { FIRST_USER } from '../support/gateway-lab.ts'
import { codeIn, startSignInLab, type SignInLab } from '../support/sign-in-lab.ts'

const CHROMIUM = '/usr/bin/chromium'

describe.skipIf(!existsSync(CHROMIUM))('signing in on the page, in Chromium', () => {
  let lab: SignInLab
  let browser: Browser
  beforeAll(async () => {
    lab = await startSignInLab()
    browser = await chromium.launch({ executablePath: CHROMIUM })
  })
  afterAll(async () => {
    await browser.close()
    await lab.stop()
  })

  /** A fresh tab, and everything the browser complained about in it. */
  const openPage = async (url = lab.url): Promise<{ page: Page; complaints: string[] }> => {
    const page = await (await browser.newContext()).newPage()
    const complaints: string[] = []
    page.on('pageerror', (error) => complaints.push(error.message))
    page.on('console', (message) => {
      if (message.type() === 'error' && !message.text().includes('status of 4')) complaints.push(message.text())
    })
    await page.goto(url)
    return { page, complaints }
  }
  const isIn = (page: Page): Promise<void> => page.locator('#live', { hasText: 'Live' }).waitFor()
  const email = FIRST_USER.email

  it.each([
    ['google', 'Google'],
    ['github', 'GitHub'],
  ])('goes to %s and comes back signed in, with nothing left in the address', async (name, label) => {
    lab.google.signsIn({ sub: 'g-1', email: 'grace@example.org', email_verified: true, name: 'Grace' })
    const emails = [{ email: 'hub@example.org', primary: true, verified: true }]
    lab.github.signsIn({ id: 1, login: 'hub', emails })
    const { page, complaints } = await openPage()
    await page.getByRole('button', { name: `Sign in with ${label}` }).click()
    await isIn(page)
    expect([page.url(), await page.evaluate('document.activeElement.id')]).toEqual([`${lab.url}/`, 'members-title'])
    expect(await page.evaluate('document.cookie')).toBe('')
    expect(complaints).toEqual([])
    const refused = await openPage(`${lab.url}/sign-in/${name}?code=stolen&state=x`)
    await refused.page.getByRole('alert').filter({ hasText: 'has not begun this sign-in' }).waitFor()
    expect(refused.page.url()).toBe(`${lab.url}/`)
  })

  it('sends a link that signs in only when somebody presses the button', async () => {
    const { page, complaints } = await openPage()
    await page.getByLabel('E-mail').first().fill(email)
    const next = lab.mail.next(email)
    await page.getByRole('button', { name: 'Send me a link instead' }).press('Enter')
    await page.getByRole('status').filter({ hasText: 'a mail is on its way' }).waitFor()
    const mail = await next
    const { page: tab } = await openPage(`${lab.url}/#sign-in=${codeIn(mail, 'sign-in')}`)
    expect(tab.url()).toBe(`${lab.url}/`)
    expect(await tab.locator('#sign-in-section').isVisible()).toBe(false)
    await tab.keyboard.press('Enter') // the button has the focus
    await isIn(tab)
    const { page: late } = await openPage(`${lab.url}/#sign-in=${codeIn(mail, 'sign-in')}`)
    await late.getByRole('button', { name: 'Sign in' }).click()
    await late.getByRole('alert').filter({ hasText: 'Ask for a new one' }).waitFor()
    await late.getByRole('link', { name: 'Other ways' }).click()
    await late.getByRole('button', { name: 'Send me a link' }).waitFor()
    expect(complaints).toEqual([])
  })

  it('lets everybody register where registration is open, and asks for no code', async () => {
    const { page, complaints } = await openPage()
    await page.getByText('Everybody who can reach this page may register.').waitFor()
    for (const code of ['Setup code', 'Invitation']) expect(await page.getByLabel(code).isVisible()).toBe(false)
    await page.locator('#register input[name=name]').focus()
    for (const text of ['Hedy', 'hedy@example.org', 'frequency hopping', 'frequency hopping']) {
      await page.keyboard.insertText(text)
      await page.keyboard.press('Tab')
    }
    await page.keyboard.press('Enter')
    await isIn(page)
    expect(complaints).toEqual([])
  })

  it('changes a forgotten password, and says what is wrong with a new one', async () => {
    const { page, complaints } = await openPage()
    await page.getByLabel('E-mail').first().fill(email)
    const next = lab.mail.next(email)
    await page.getByRole('button', { name: 'I forgot my password' }).click()
    const code = codeIn(await next, 'reset')
    await page.goto(`${lab.url}/?again#reset=${code}`)
    await page.getByLabel('New password', { exact: true }).fill('short')
    await page.getByLabel('Repeat the new password').fill('short')
    await page.getByRole('button', { name: 'Change the password' }).click()
    await page.getByRole('alert').filter({ hasText: 'at least 8 characters' }).waitFor()
    await page.getByLabel('New password', { exact: true }).fill('a longer password')
    await page.getByLabel('Repeat the new password').fill('a longer password')
    await page.keyboard.press('Enter')
    await page.getByRole('status').filter({ hasText: 'Your password is changed' }).waitFor()
    await page.locator('#sign-in input[name=email]').fill(email)
    await page.locator('#sign-in input[name=password]').fill('a longer password')
    await page.keyboard.press('Enter')
    await isIn(page)
    expect(complaints).toEqual([])
  })
})
