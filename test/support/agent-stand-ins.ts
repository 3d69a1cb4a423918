import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/**
 * What the real programs printed when they were asked by hand with a model of ours behind them (Claude Code 2.1.197, Codex
 * 0.171.0, opencode 1.18.33, Gemini CLI 0.61.0); lists of tools are cut short.
 */
export const agentStream = (name: string): string =>
  readFileSync(join(import.meta.dirname, 'agent-streams', `${name}.jsonl`), 'utf8')

export type StandIns = {
  /** For the `PATH` of whoever is to find them. */
  readonly bin: string
  /** The home directory of the person whose agents they are. */
  readonly home: string
  /** What one was last started with, and what it read. */
  argumentsOf(agent: string): string[]
  inputOf(agent: string): string
  /** A program of the given name that runs a script with /bin/sh. */
  install(agent: string, script: string): void
  remove(): void
}

/** Programs in the place of agent CLIs, which print what those once printed. */
export function createStandIns(): StandIns {
  const home = mkdtempSync(join(tmpdir(), 'rk-agents-'))
  const bin = join(home, 'bin')
  mkdirSync(bin)
  const install = (agent: string, script: string): void => {
    const notes = `printf '%s\\n' "$@" > '${join(home, `${agent}.arguments`)}'\n: > '${join(home, `${agent}.input`)}'`
    writeFileSync(join(bin, agent), `#!/bin/sh\n${notes}\n${script}\n`)
    chmodSync(join(bin, agent), 0o755)
  }
  const stream = (name: string): string => join(import.meta.dirname, 'agent-streams', `${name}.jsonl`)
  const inputTo = (agent: string): string => `cat >> '${join(home, `${agent}.input`)}'`
  for (const agent of ['codex', 'opencode', 'gemini']) install(agent, `${inputTo(agent)}; cat '${stream(agent)}'`)
  // One turn of three records for each message; in a terminal it writes its transcript.
  install(
    'claude',
    `case "$*" in
*--input-format*)
  turn=0
  while IFS= read -r line; do
    printf '%s\\n' "$line" | ${inputTo('claude')}
    turn=$((turn + 1))
    sed -n "$((3 * turn - 2)),$((3 * turn))p" '${stream('claude-headless')}'
  done;;
-p*) ${inputTo('claude')}; cat '${stream('claude-oneshot')}';;
*)
  project="$HOME/.claude/projects/-home-me-app"; mkdir -p "$project/$2/subagents"
  head -n 10 '${stream('claude-transcript')}' > "$project/$2.jsonl"; echo one; read more
  tail -n +11 '${stream('claude-transcript')}' >> "$project/$2.jsonl"; echo two; read more
  sed s/msg_1/msg_sub_1/ '${stream('claude-transcript')}' > "$project/$2/subagents/agent-a1.jsonl"; echo three; read more;;
esac`,
  )
  const noted = (agent: string, what: string): string => readFileSync(join(home, `${agent}.${what}`), 'utf8')
  return {
    bin,
    home,
    argumentsOf: (agent) => noted(agent, 'arguments').split('\n').slice(0, -1),
    inputOf: (agent) => noted(agent, 'input'),
    install,
    remove: () => rmSync(home, { recursive: true, force: true }),
  }
}
