/** A browser as far as redirects and cookies go: one jar, per host whatever the port, as real ones have it. */
export class Browser {
  readonly #jar = new Map<string, string>()

  async fetch(url: string, init: RequestInit = {}): Promise<Response> {
    const headers = { ...this.cookies(), ...Object(init.headers) }
    const answer = await fetch(url, { ...init, headers, redirect: 'manual' })
    for (const line of answer.headers.getSetCookie()) {
      const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(line) ?? []
      if (value === '' || /max-age=0|1970/i.test(line)) this.#jar.delete(name)
      else this.#jar.set(name, value)
    }
    return answer
  }

  /** As headers of the next request. */
  cookies(): { cookie?: string } {
    const cookie = [...this.#jar].map(([name, value]) => `${name}=${value}`).join('; ')
    return cookie === '' ? {} : { cookie }
  }

  /** Follows redirects until one leads to `end`, and returns where to. */
  async goTo(url: string, end: string): Promise<URL> {
    for (let at = url, hops = 0; hops < 20; hops++) {
      const answer = await this.fetch(at)
      const to = answer.headers.get('location')
      if (to === null) throw new Error(`${at} answered ${answer.status}: ${await answer.text()}`)
      const next = new URL(to, at)
      if (next.href.startsWith(end)) return next
      at = next.href
    }
    throw new Error(`too many redirects from ${url}`)
  }
}
