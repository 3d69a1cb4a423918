import { z } from 'zod'
import { CommandId, MachineId, ProjectId } from './ids.ts'

/** Of what is found in a folder, by the program that runs it. What is registered may have a type of its own. */
export const FOUND_COMMAND_TYPES = [
  'npm',
  'pnpm',
  'yarn',
  'bun',
  'composer',
  'artisan',
  'make',
  'just',
  'deno',
  'python',
  'script',
] as const
export type FoundCommandType = (typeof FOUND_COMMAND_TYPES)[number]

/** The type of a registered command whose line a shell reads. No other line ever meets a shell. */
export const SHELL_COMMAND = 'shell'

/** Longer texts of files are cut; longer texts of callers refused. A page of 100 commands fits one answer of 1 MB. */
export const COMMAND_NAME_CHARS_MAX = 200
export const COMMAND_LINE_CHARS_MAX = 1500
export const COMMAND_DESCRIPTION_CHARS_MAX = 500
/** The program of a session has at most 64 arguments: words of the line, options and arguments together. */
export const COMMAND_WORDS_MAX = 24
export const COMMAND_OPTIONS_MAX = 32
export const COMMAND_ARGUMENTS_MAX = 16
/** Arguments and options that one call gives. */
export const CALL_WORDS_MAX = 32

/** A place for a word of the caller, after the options. */
export const CommandArgument = z.strictObject({
  name: z.string().min(1).max(64),
  description: z.string().max(COMMAND_DESCRIPTION_CHARS_MAX),
  required: z.boolean(),
  /** The last one only: takes any number of words. */
  variadic: z.boolean(),
})
export type CommandArgument = z.infer<typeof CommandArgument>

/** Something that a machine can be asked to run: found in a folder of a project there, or registered. */
export type Command = {
  /**
   * Stands for exactly this: what was found has another id as soon as its file says something else, what is registered
   * anew with another line, too. An id never runs what it did not run before.
   */
  readonly id: CommandId
  readonly machineId: MachineId
  readonly name: string
  readonly type: string
  readonly description: string
  /** As a person would type it. */
  readonly line: string
  readonly category: string
  /** It deletes, overwrites or publishes, as far as its words tell. */
  readonly isDangerous: boolean
  readonly arguments: readonly CommandArgument[]
  /** The only options that it takes: `--force`, or `--step=` for one with a value. */
  readonly options: readonly string[]
  /** The file that it was found in, absolute; null: it was registered. */
  readonly source: string | null
  /** Where it runs unless told otherwise; null: wherever it is called. */
  readonly folder: string | null
  readonly projectId: ProjectId | null
  /** When it was registered, or its file last changed. */
  readonly createdAt: string
}

/** A command as it crosses the mesh in answers. */
export const CommandRecord = z.object({
  id: CommandId,
  machineId: MachineId,
  name: z.string(),
  type: z.string(),
  description: z.string(),
  line: z.string(),
  category: z.string(),
  isDangerous: z.boolean(),
  arguments: z.array(CommandArgument),
  options: z.array(z.string()),
  source: z.string().nullable(),
  folder: z.string().nullable(),
  projectId: ProjectId.nullable(),
  createdAt: z.string(),
})

export type CommandInput = {
  readonly name: string
  readonly type: string
  readonly description: string
  readonly line: string
  readonly category?: string
  /** A command can be called dangerous that does not look so, never the other way round. */
  readonly isDangerous: boolean
  readonly arguments: readonly CommandArgument[]
  readonly options: readonly string[]
  readonly folder: string | null
}

/** How a command is called. Words reach the program as they are, each as one argument. */
export type CommandCall = {
  readonly arguments: readonly string[]
  readonly options: readonly string[]
  readonly folder?: string
}

const DANGEROUS: readonly RegExp[] = [
  /\brm\s+(?:-\w+\s+)*-\w*[rf]/,
  /\b(?:rimraf|shred|mkfs|fdisk|wipefs)\b|\bdd\s+(?:\S+\s+)*of=/,
  /\bmigrate:(?:fresh|refresh|reset|rollback)\b|\bdb:(?:wipe|drop|reset)\b|\bschema:drop\b/i,
  /\b(?:drop|truncate)\s+(?:table|database|schema)\b|\bdropdb\b|\bFLUSH(?:ALL|DB)\b/i,
  /\bgit\s+(?:push\s+(?:\S+\s+)*(?:-f\b|--force)|reset\s+(?:\S+\s+)*--hard|clean\s+(?:\S+\s+)*-\w*[fdx])/,
  /\b(?:npm|pnpm|yarn|bun|deno|cargo|twine|gem)\s+(?:publish|unpublish|upload|push)\b/,
  /\b(?:terraform|tofu|pulumi)\s+(?:apply|destroy|up)\b|\bkubectl\s+delete\b|\bhelm\s+(?:uninstall|delete)\b/,
  /\bdocker\s+(?:system|volume|image|container)\s+(?:prune|rm)\b|\bdocker(?:-compose| compose)\s+down\s+(?:\S+\s+)*(?:-v\b|--volumes)/,
  /\b(?:shutdown|reboot|halt|poweroff)\b|\bchmod\s+(?:-\w+\s+)*777\b|\bsudo\b/,
  /(?:curl|wget)\b[^|]*\|\s*(?:sudo\s+)?\w*sh\b/,
]

const DANGEROUS_NAME =
  /(?:^|[\s:._-])(?:deploy|release|publish|destroy|wipe|nuke|purge|drop|reset|prune)(?:$|[\s:._-])/i

/** A guess to warn people by. It refuses nothing, and what it overlooks is not safe. */
export const looksDangerous = (name: string, text: string): boolean =>
  DANGEROUS_NAME.test(name) || DANGEROUS.some((pattern) => pattern.test(text))

const CATEGORIES: readonly (readonly [category: string, words: RegExp])[] = [
  ['database', /\b(?:db|database|migrate|migration|migrations|seed|schema|prisma|sql)\b/i],
  ['deployment', /\b(?:deploy|release|publish|ship|upload)\b/i],
  ['testing', /\b(?:test|tests|e2e|spec|coverage|bench|benchmark|phpunit|pest|vitest|jest|pytest)\b/i],
  ['quality', /\b(?:lint|format|fmt|check|types|typecheck|tsc|eslint|prettier|fix|stan|phpstan|style|audit)\b/i],
  ['development', /\b(?:dev|develop|serve|start|watch|preview|run|up|storybook)\b/i],
  ['build', /\b(?:build|compile|bundle|dist|package|pack|generate|gen|codegen|docs)\b/i],
  ['maintenance', /\b(?:clean|clear|cache|reset|prune|setup|install|bootstrap|update|upgrade|optimize)\b/i],
]

/** By the words of its name; `other` when they say nothing. */
export function categoryOf(name: string): string {
  const words = name.replace(/[_:./-]+/g, ' ')
  return CATEGORIES.find(([, pattern]) => pattern.test(words))?.[0] ?? 'other'
}
