import { z } from 'zod'
import { COMMAND_DESCRIPTION_CHARS_MAX, CommandArgument, type Command } from '../../../crdt/command.ts'
import { EXECUTION_STATUSES, type Execution } from '../../../crdt/execution.ts'

const text = z.string()
const maybe = z.string().nullable()

/** In lists; `GET` of one also tells what it takes. */
export const WireListed = z.strictObject({
  id: text,
  machine_id: text,
  name: text,
  type: text,
  description: text,
  command: text,
  category: text,
  is_dangerous: z.boolean(),
  source: maybe,
  cwd: maybe,
  project_id: maybe,
  created_at: text,
})
export const WireCommand = WireListed.extend({ arguments: z.array(CommandArgument), options: z.array(text) })

export const wireListed = (command: Command): z.infer<typeof WireListed> => ({
  id: command.id,
  machine_id: command.machineId,
  name: command.name,
  type: command.type,
  description: command.description,
  command: command.line,
  category: command.category,
  is_dangerous: command.isDangerous,
  source: command.source,
  cwd: command.folder,
  project_id: command.projectId,
  created_at: command.createdAt,
})

export const wireCommand = (command: Command): z.infer<typeof WireCommand> => ({
  ...wireListed(command),
  arguments: [...command.arguments],
  options: [...command.options],
})

/** An argument of a command that is registered: its name says all that the document shows, the rest is ours. */
export const ArgumentInput = z.union([
  text
    .min(1)
    .max(64)
    .transform((name) => ({ name, description: '', required: true, variadic: false })),
  z.strictObject({
    name: text.min(1).max(64),
    description: text.max(COMMAND_DESCRIPTION_CHARS_MAX).default(''),
    required: z.boolean().default(true),
    variadic: z.boolean().default(false),
  }),
])

export const WireExecution = z.strictObject({
  id: text,
  execution_id: text,
  machine_id: text,
  command_id: text,
  project_id: maybe,
  name: text,
  command: text,
  cwd: text,
  status: z.enum(EXECUTION_STATUSES),
  exit_code: z.int().nullable(),
  signal: maybe,
  problem: maybe,
  queued_at: text,
  started_at: maybe,
  ended_at: maybe,
  /** Of the program so far, in milliseconds; null before its start. */
  duration_ms: z.int().min(0).nullable(),
  created_by: text,
})

export const wireExecution = (execution: Execution, nowMs: number): z.infer<typeof WireExecution> => ({
  id: execution.id,
  execution_id: execution.id,
  machine_id: execution.machineId,
  command_id: execution.commandId,
  project_id: execution.projectId,
  name: execution.name,
  command: execution.line,
  cwd: execution.folder,
  status: execution.status,
  exit_code: execution.exitCode,
  signal: execution.signal,
  problem: execution.problem,
  queued_at: execution.queuedAt,
  started_at: execution.startedAt,
  ended_at: execution.endedAt,
  duration_ms: durationMs(execution, nowMs),
  created_by: execution.createdBy,
})

function durationMs({ startedAt, endedAt }: Execution, nowMs: number): number | null {
  if (startedAt === null) return null
  return Math.max(0, (endedAt === null ? nowMs : Date.parse(endedAt)) - Date.parse(startedAt))
}
