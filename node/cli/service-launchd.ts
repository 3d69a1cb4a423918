import { join } from 'node:path'
import { WRITTEN_BY } from './service-mark.ts'
import type { ServiceOptions } from './service-plan.ts'

/** A property list for launchd. */
export function launchdPlist(label: string, options: ServiceOptions): string {
  const { scope, dataDir, program, user, home, path } = options
  return `<?xml version="1.0" encoding="UTF-8"?>
<!-- ${WRITTEN_BY} -->
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0">
<dict>
  <key>Label</key>
  ${string(label)}
  <key>ProgramArguments</key>
  <array>
    ${[program, 'up', '--data-dir', dataDir].map(string).join('\n    ')}
  </array>
  <key>EnvironmentVariables</key>
  <dict>
    <key>PATH</key>
    ${string(path)}
  </dict>
${scope === 'system' ? `  <key>UserName</key>\n  ${string(user)}\n` : ''}  <key>RunAtLoad</key>
  <true/>
  <!-- Restarted when it failed, not when it was stopped. -->
  <key>KeepAlive</key>
  <dict>
    <key>SuccessfulExit</key>
    <false/>
  </dict>
  <key>ThrottleInterval</key>
  <integer>10</integer>
  <!-- Terminals outlive the node. -->
  <key>AbandonProcessGroup</key>
  <true/>
  <key>ExitTimeOut</key>
  <integer>10</integer>
  <key>SoftResourceLimits</key>
  <dict>
    <key>NumberOfFiles</key>
    <integer>65536</integer>
  </dict>
  <!-- The first start prints a link that makes the first user: it belongs in no file. -->
  <key>StandardOutPath</key>
  <string>/dev/null</string>
  <key>StandardErrorPath</key>
  ${string(join(scope === 'user' ? home : '/', 'Library/Logs', `${label}.log`))}
</dict>
</plist>
`
}

const ENTITIES: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;' }

const string = (text: string): string => `<string>${text.replace(/[&<>]/g, (c) => ENTITIES[c] ?? c)}</string>`
