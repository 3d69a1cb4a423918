import type { Guarantee } from './guarantee.ts'

/** Every way a domain operation can fail. Each dialect maps all of them (a new one does not compile until it does). */
export const DOMAIN_ERRORS = {
  invalid_input: { message: 'The given data was invalid.', retry: 'never' },
  unauthenticated: { message: 'A valid token is needed.', retry: 'never' },
  invalid_credentials: { message: 'The e-mail address or the password is wrong.', retry: 'never' },
  forbidden: { message: 'This token may not do that.', retry: 'never' },
  registration_closed: {
    message: 'Registration is closed on this mesh. Ask its owner for an invitation (`rookery user invite`).',
    retry: 'never',
  },
  setup_code_required: {
    message: 'The first user needs the setup code that `rookery up` printed (`rookery status` shows it again).',
    retry: 'never',
  },
  email_taken: { message: 'A user with this e-mail address exists.', retry: 'never' },
  provider_unknown: { message: 'People do not sign in here with that provider.', retry: 'never' },
  provider_refused: { message: 'The provider did not confirm this sign-in. Begin again.', retry: 'never' },
  provider_unreachable: { message: 'The provider could not be reached, or answered with nonsense.', retry: 'backoff' },
  identity_unproved: { message: 'The provider does not say that your e-mail address is verified.', retry: 'never' },
  link_unavailable: { message: 'No link can be sent from here right now.', retry: 'backoff' },
  link_invalid: { message: 'This link or code is unknown, used or expired. Ask for a new one.', retry: 'never' },
  user_not_found: { message: 'No user has this id.', retry: 'never' },
  token_not_found: { message: 'No token has this id.', retry: 'never' },
  pairing_not_found: { message: 'No pairing has this code.', retry: 'never' },
  pairing_expired: { message: 'This pairing code has expired. Start anew on the machine.', retry: 'never' },
  pairing_completed: { message: 'This pairing is completed already.', retry: 'never' },
  pairing_code_taken: { message: 'Another pairing has this code.', retry: 'never' },
  pairing_refused: { message: 'This pairing was refused.', retry: 'never' },
  machine_not_found: { message: 'No machine has this id.', retry: 'never' },
  machine_offline: { message: 'The machine is offline.', retry: 'backoff' },
  machine_unsupported: {
    message: 'This machine has no node: its agent runs sessions, and nothing else can be asked of it.',
    retry: 'never',
  },
  machine_awake: { message: 'The machine is awake already.', retry: 'never' },
  wake_unsupported: {
    message: 'The machine cannot be woken: none of its network cards is known to the mesh.',
    retry: 'never',
  },
  wake_unreachable: { message: 'No member of the mesh is awake on a network of the machine.', retry: 'backoff' },
  machine_refused: { message: "The machine's own policy refuses this.", retry: 'never' },
  session_not_found: { message: 'No session has this id.', retry: 'never' },
  session_ended: { message: 'The session has ended.', retry: 'never' },
  session_running: { message: 'The session still runs: end it first.', retry: 'never' },
  session_limit: { message: 'The machine runs as many sessions as it allows.', retry: 'backoff' },
  session_failed: { message: 'The session could not be started.', retry: 'never' },
  project_not_found: { message: 'No project has this id.', retry: 'never' },
  project_exists: { message: 'A project has this path on this machine.', retry: 'never' },
  task_not_found: { message: 'No task has this id.', retry: 'never' },
  task_claimed: { message: 'Another instance has claimed this task.', retry: 'after_expiry' },
  task_closed: { message: 'This task is completed.', retry: 'never' },
  task_blocked: { message: 'This task depends on tasks that are not completed.', retry: 'backoff' },
  task_not_claimed_by_caller: { message: 'This task is not claimed by this instance.', retry: 'never' },
  no_task_available: { message: 'No task is free to be claimed.', retry: 'backoff' },
  command_not_found: { message: 'No command has this id on this machine.', retry: 'never' },
  command_failed: { message: 'The command could not be run.', retry: 'never' },
  execution_not_found: { message: 'No execution has this id.', retry: 'never' },
  chunk_not_found: { message: 'No chunk of this project has this id.', retry: 'never' },
  skill_not_found: { message: 'No skill of this machine has this path.', retry: 'never' },
  skill_conflict: { message: 'The file of this skill cannot be changed as it is.', retry: 'never' },
  model_missing: {
    message:
      'This node has no model to ask. Set context.model in its config.json (api, url, model, keyFile), or install the agent CLI claude and sign in.',
    retry: 'never',
  },
  model_failed: { message: 'The model did not answer.', retry: 'backoff' },
  mcp_server_not_found: { message: 'The machine has no MCP server of this name.', retry: 'never' },
  mcp_server_exists: {
    message: 'The machine has an MCP server of this name: change that one, or take another name.',
    retry: 'never',
  },
  mcp_server_found: { message: 'This MCP server is defined in a file of an agent: change it there.', retry: 'never' },
  mcp_not_approved: { message: 'This MCP server needs approval on its machine before it runs.', retry: 'never' },
  mcp_not_running: { message: 'The MCP server does not run: start it first.', retry: 'never' },
  mcp_start_failed: { message: 'The MCP server could not be started.', retry: 'never' },
  mcp_tool_failed: { message: 'The tool failed.', retry: 'never' },
  lock_held: { message: 'Another instance holds a lock on this path.', retry: 'after_expiry' },
  lock_not_held_by_caller: { message: 'This instance does not hold a lock on this path.', retry: 'never' },
  notice_not_found: { message: 'No notice has this id: it may have been dismissed.', retry: 'never' },
  quorum_unreachable: { message: 'Too few voters answered in time.', retry: 'backoff' },
  member_not_found: { message: 'No member has this peer id or name.', retry: 'never' },
  ticket_invalid: { message: 'This is not a ticket of a Rookery mesh.', retry: 'never' },
  ticket_expired: { message: 'This ticket has expired. Ask for a new one (`rookery invite`).', retry: 'never' },
  ticket_used: { message: 'This ticket has been used. Ask for a new one (`rookery invite`).', retry: 'never' },
  ticket_other_mesh: { message: 'The inviter belongs to another mesh than the ticket says.', retry: 'never' },
  inviter_unreachable: { message: 'The node that made this ticket cannot be reached.', retry: 'backoff' },
  mesh_not_empty: {
    message:
      'This data directory already belongs to a mesh with members, users or projects. Leave it first (`rookery leave`) or use another --data-dir.',
    retry: 'never',
  },
  rate_limited: { message: 'Too many requests.', retry: 'backoff' },
  too_large: { message: 'The request is larger than the limit.', retry: 'never' },
  limit_reached: { message: 'A limit of this mesh is reached.', retry: 'never' },
  storage_failed: {
    message: 'The change could not be written to disk; nothing was changed. Free some space and try again.',
    retry: 'backoff',
  },
  superseded: { message: 'A newer holder has taken over; this change was not applied.', retry: 'never' },
  cancelled: { message: 'The request was cancelled.', retry: 'backoff' },
  internal: { message: 'Something went wrong inside. The log of the node says more.', retry: 'backoff' },
} as const satisfies Record<string, { message: string; retry: 'never' | 'backoff' | 'after_expiry' }>

export type DomainErrorCode = keyof typeof DOMAIN_ERRORS

/** Facts about a refusal that a person or program can act on. All are safe to show to the caller. */
export type ErrorDetails = {
  /** Field name → what is wrong with it and how to mend it (only with `invalid_input`). */
  readonly fields?: Readonly<Record<string, readonly string[]>>
  /** Who holds the lease, until when (ISO 8601) and how surely, with `task_claimed` and `lock_held`. */
  readonly holder?: {
    readonly instanceId: string
    readonly reason?: string
    readonly expiresAt?: string
    /** Certified where it is not said. */
    readonly guarantee?: Guarantee
  }
  /** Names of the voters that did not answer, with `quorum_unreachable`. */
  readonly missingVoters?: readonly string[]
  readonly retryAfterMs?: number
}

export type DomainError = {
  readonly code: DomainErrorCode
  readonly message: string
  readonly details?: ErrorDetails
}

/** Builds a domain error; `message` replaces the catalogue's sentence where more is known. */
export function domainError(
  code: DomainErrorCode,
  extra: { message?: string; details?: ErrorDetails } = {},
): DomainError {
  const { message = DOMAIN_ERRORS[code].message, details } = extra
  return details === undefined ? { code, message } : { code, message, details }
}

/** `invalid_input` for one field. */
export const invalidField = (field: string, problem: string): DomainError =>
  domainError('invalid_input', { details: { fields: { [field]: [problem] } } })
