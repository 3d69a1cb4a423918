import { z } from 'zod'
import { McpDisplayName, McpName, McpProgram } from '../../crdt/mcp.ts'

/** A definition that was made through Rookery. */
export const McpDefinition = z.strictObject({
  id: z.uuid(),
  name: McpName,
  displayName: McpDisplayName,
  autoStart: z.boolean(),
  program: McpProgram,
  /** Made on this machine: it may reach what is on it and beside it. */
  isLocal: z.boolean(),
})
export type McpDefinition = z.infer<typeof McpDefinition>

/** More than a person will look through. */
export const MCP_DEFINITIONS_MAX = 200
export const MCP_APPROVALS_MAX = 1000

export const McpFile = z.strictObject({
  v: z.literal(1),
  definitions: z.array(McpDefinition).max(MCP_DEFINITIONS_MAX),
  /** Fingerprints of what may run, oldest first. */
  approvals: z.array(z.string().max(128)).max(MCP_APPROVALS_MAX),
})
export type McpFile = z.infer<typeof McpFile>

/** What this machine keeps of its servers, secrets included: nobody else can read it. */
export interface McpDefinitions {
  /** Rejects when what is there cannot be read; it is never written over then. */
  read(): Promise<McpFile>
  /** Durable when it resolves. */
  write(file: McpFile): Promise<void>
  /** The same for the same program on this machine; says nothing about its secrets. */
  fingerprint(program: McpProgram): Promise<string>
}
