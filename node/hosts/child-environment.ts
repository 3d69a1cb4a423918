/** Names a program may inherit. Everything else stays out: loader variables, tokens, the node's own settings. */
const ALLOWED = new Set(['PATH', 'HOME', 'USER', 'SHELL', 'LANG', 'TERM', 'TZ', 'TMPDIR'])

/** What every child process gets of an environment. */
export function childEnvironment(environment: NodeJS.ProcessEnv): Record<string, string> {
  const allowed: Record<string, string> = {}
  for (const [name, value] of Object.entries(environment))
    if (value !== undefined && (ALLOWED.has(name) || /^LC_[A-Z]+$/.test(name))) allowed[name] = value
  return allowed
}
