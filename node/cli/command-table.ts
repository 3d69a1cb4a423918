import type { Command } from 'commander'

type Load = () => Promise<readonly Command[]>

const mesh: Load = async () => (await import('./commands/mesh.ts')).meshCommands()
const work: Load = async () => (await import('./commands/work.ts')).workCommands()
const backup: Load = async () => (await import('./commands/backup.ts')).backupCommands()

/** Who makes which commands, in the order of the help. */
export const LOADERS: Readonly<Record<string, Load>> = {
  up: async () => [(await import('./commands/up.ts')).upCommand()],
  invite: mesh,
  join: mesh,
  members: mesh,
  wake: mesh,
  remove: mesh,
  leave: mesh,
  status: mesh,
  down: mesh,
  user: async () => [(await import('./commands/user.ts')).userCommand()],
  project: work,
  task: work,
  lock: work,
  context: work,
  session: async () => [(await import('./commands/session.ts')).sessionCommand()],
  commands: async () => [(await import('./commands/commands.ts')).commandsCommand()],
  mcp: async () => [(await import('./commands/mcp.ts')).mcpCommand()],
  pair: async () => [(await import('./commands/pair.ts')).pairCommand()],
  pairing: async () => [(await import('./commands/pairing.ts')).pairingCommand()],
  skills: async () => [(await import('./commands/skills.ts')).skillsCommand()],
  peers: async () => [(await import('./commands/peers.ts')).peersCommand()],
  voters: async () => [(await import('./commands/voters.ts')).votersCommand()],
  recovery: async () => [(await import('./commands/recovery.ts')).recoveryCommand()],
  backup,
  restore: backup,
  restored: backup,
  storage: async () => [(await import('./commands/storage.ts')).storageCommand()],
  doctor: async () => [(await import('./commands/doctor.ts')).doctorCommand()],
  metrics: async () => [(await import('./commands/metrics.ts')).metricsCommand()],
  secret: async () => [(await import('./commands/secret.ts')).secretCommand()],
  service: async () => [(await import('./commands/service.ts')).serviceCommand()],
  config: async () => [(await import('./commands/config.ts')).configCommand()],
}

/**
 * The command of that name, with what lies in the same file; every command for any other word (help, typos). Only what is
 * needed is loaded: that is most of the time that a command takes.
 */
export async function commandsFor(name: string | undefined): Promise<Command[]> {
  const named = name !== undefined && Object.hasOwn(LOADERS, name) ? LOADERS[name] : undefined
  const loaders = named ? [named] : [...new Set(Object.values(LOADERS))]
  return (await Promise.all(loaders.map((load) => load()))).flat()
}
