import { WRITTEN_BY } from './service-mark.ts'
import type { ServiceOptions } from './service-plan.ts'

/**
 * A unit for systemd. Terminals are children of the node and inherit whatever it may not do, so that by default only what
 * no terminal can miss is restricted.
 */
export function systemdUnit(options: ServiceOptions): string {
  const { scope, dataDir, program, user, path, isHardened } = options
  return [
    `# ${WRITTEN_BY}`,
    '[Unit]',
    `Description=Rookery node on ${literal(dataDir)}`,
    ...(scope === 'system' ? ['Wants=network-online.target', 'After=network-online.target'] : []),
    // A node that cannot start (its port is taken, its disk full) is not tried for ever.
    'StartLimitIntervalSec=300',
    'StartLimitBurst=5',
    '',
    '[Service]',
    'Type=exec',
    ...(scope === 'system' ? [`User=${user}`] : []),
    `ExecStart=${quoted(program)} up --data-dir ${quoted(dataDir)}`,
    `Environment=${quotedValue(`PATH=${path}`)}`,
    '# Terminals outlive the node, on restarts too: only the node itself is stopped.',
    'KillMode=process',
    '# It stops within two seconds; promises are durable before they are made.',
    'TimeoutStopSec=10',
    'Restart=on-failure',
    'RestartSec=5',
    '# Usage: starting again would not mend the configuration.',
    'RestartPreventExitStatus=2',
    '# An agent that takes all memory must not take the node with it.',
    'OOMPolicy=continue',
    'LimitNOFILE=65536',
    '# A core dump would contain keys. Who needs one in a terminal raises the limit there.',
    'LimitCORE=0:infinity',
    '# The first start prints a link that makes the first user; `rookery status` has it too. It belongs in no journal.',
    'StandardOutput=null',
    'StandardError=journal',
    ...(isHardened ? HARDENED : []),
    '',
    '[Install]',
    `WantedBy=${scope === 'system' ? 'multi-user.target' : 'default.target'}`,
    '',
  ].join('\n')
}

/**
 * Nothing in a terminal becomes root: sudo, rootless containers and other set-uid programs do not work then. Left out on
 * purpose: MemoryDenyWriteExecute (V8 compiles at run time), PrivateDevices and DevicePolicy (terminals), RestrictNamespaces
 * (agents put their tools into sandboxes), and everything that hides files from agents.
 */
const HARDENED = [
  '# Hardened: nothing in a terminal can become root.',
  'NoNewPrivileges=yes',
  'RestrictSUIDSGID=yes',
  'RestrictRealtime=yes',
  'LockPersonality=yes',
  'SystemCallArchitectures=native',
]

/** A percent sign begins a specifier everywhere in a unit. */
const literal = (text: string): string => text.replaceAll('%', '%%')

const quotedValue = (text: string): string => `"${literal(text).replaceAll('\\', '\\\\').replaceAll('"', '\\"')}"`

/** In a command line a dollar sign begins a variable, too. */
const quoted = (text: string): string => quotedValue(text).replaceAll('$', '$$$$')
