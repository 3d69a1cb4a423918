import type { DomainErrorCode } from '../../../crdt/errors.ts'
import type { Envelope, Meta } from '../../http/dialect.ts'
import type { HttpErrorCode, Refusal } from '../../http/refusal.ts'

type WireError = { readonly code: string; readonly status: number }

const wire = (code: string, status: number): WireError => ({ code, status })

/** Documented codes where the document has one, ours (listed in README.md) where it has none. */
export const WIRE_ERRORS = {
  invalid_input: wire('VAL_001', 422),
  unauthenticated: wire('AUTH_005', 401),
  invalid_credentials: wire('AUTH_002', 401),
  forbidden: wire('AUTH_006', 403),
  registration_closed: wire('AUTH_007', 403),
  setup_code_required: wire('AUTH_008', 403),
  provider_unknown: wire('AUTH_001', 400),
  provider_refused: wire('AUTH_002', 401),
  provider_unreachable: wire('AUTH_009', 503),
  identity_unproved: wire('AUTH_010', 403),
  link_unavailable: wire('AUTH_003', 400),
  link_invalid: wire('AUTH_004', 400),
  email_taken: wire('VAL_001', 422),
  user_not_found: wire('USR_001', 404),
  token_not_found: wire('TOK_001', 404),
  pairing_not_found: wire('PAR_001', 404),
  pairing_expired: wire('PAR_002', 410),
  pairing_completed: wire('PAR_003', 409),
  pairing_code_taken: wire('PAR_004', 409),
  pairing_refused: wire('PAR_005', 410),
  machine_not_found: wire('MCH_001', 404),
  machine_offline: wire('MCH_002', 400),
  wake_unsupported: wire('MCH_003', 400),
  machine_awake: wire('MCH_004', 400),
  machine_refused: wire('MCH_005', 403),
  wake_unreachable: wire('MCH_006', 503),
  machine_unsupported: wire('MCH_007', 409),
  session_not_found: wire('SES_001', 404),
  session_ended: wire('SES_002', 400),
  session_limit: wire('SES_003', 409),
  session_failed: wire('SES_004', 500),
  session_running: wire('SES_005', 409),
  project_not_found: wire('PRJ_001', 404),
  project_exists: wire('PRJ_002', 409),
  task_not_found: wire('TSK_001', 404),
  task_claimed: wire('TSK_002', 409),
  task_closed: wire('TSK_004', 409),
  task_blocked: wire('TSK_005', 409),
  task_not_claimed_by_caller: wire('TSK_003', 403),
  no_task_available: wire('TSK_006', 404),
  command_not_found: wire('CMD_001', 404),
  command_failed: wire('CMD_002', 500),
  execution_not_found: wire('CMD_003', 404),
  chunk_not_found: wire('CTX_001', 404),
  skill_not_found: wire('SKL_001', 404),
  skill_conflict: wire('SKL_002', 409),
  model_missing: wire('CTX_002', 503),
  model_failed: wire('CTX_003', 502),
  mcp_server_not_found: wire('MCP_001', 404),
  mcp_start_failed: wire('MCP_002', 500),
  mcp_tool_failed: wire('MCP_003', 500),
  mcp_not_approved: wire('MCP_004', 403),
  mcp_server_exists: wire('MCP_005', 409),
  mcp_not_running: wire('MCP_006', 409),
  mcp_server_found: wire('MCP_007', 409),
  lock_held: wire('LCK_001', 409),
  lock_not_held_by_caller: wire('LCK_001', 409),
  quorum_unreachable: wire('LCK_002', 503),
  notice_not_found: wire('LCK_004', 404),
  superseded: wire('LCK_003', 409),
  member_not_found: wire('MSH_001', 404),
  ticket_invalid: wire('MSH_002', 400),
  ticket_expired: wire('MSH_003', 410),
  ticket_used: wire('MSH_004', 409),
  ticket_other_mesh: wire('MSH_005', 409),
  inviter_unreachable: wire('MSH_006', 503),
  mesh_not_empty: wire('MSH_007', 409),
  rate_limited: wire('RTE_001', 429),
  too_large: wire('REQ_001', 413),
  limit_reached: wire('LIM_001', 409),
  storage_failed: wire('STO_001', 507),
  cancelled: wire('REQ_002', 503),
  internal: wire('SRV_001', 500),
  host_refused: wire('GTE_001', 403),
  origin_refused: wire('GTE_002', 403),
  fetch_site_refused: wire('GTE_003', 403),
  bad_request_target: wire('GTE_004', 400),
  token_in_url: wire('GTE_005', 400),
  malformed_request: wire('VAL_001', 400),
  route_not_found: wire('REQ_003', 404),
  method_not_allowed: wire('REQ_004', 405),
  media_type: wire('REQ_005', 415),
  upgrade_required: wire('REQ_006', 426),
} as const satisfies Record<DomainErrorCode | HttpErrorCode, WireError>

/** The failure envelope. Field problems are told under `errors` (document) and `details` (its clients). */
export function failure(refusal: Refusal, meta: Meta): Envelope {
  const { code, status } = WIRE_ERRORS[refusal.code]
  const fields = refusal.code === 'email_taken' ? { email: [refusal.message] } : refusal.details?.fields
  const facts = {
    ...(fields === undefined ? {} : fields),
    ...detailsOf(refusal),
  }
  const error = {
    code,
    message: code === 'VAL_001' && status === 422 ? 'The given data was invalid.' : refusal.message,
    ...(fields === undefined ? {} : { errors: fields }),
    ...(Object.keys(facts).length === 0 ? {} : { details: facts }),
  }
  return { status, body: { success: false, error, meta: { timestamp: meta.timestamp, request_id: meta.requestId } } }
}

function detailsOf({ details }: Refusal): object {
  return {
    ...(details?.holder === undefined
      ? {}
      : {
          holder: {
            instance_id: details.holder.instanceId,
            reason: details.holder.reason ?? null,
            expires_at: details.holder.expiresAt ?? null,
            guarantee: details.holder.guarantee ?? 'certified',
          },
        }),
    ...(details?.missingVoters === undefined ? {} : { missing_voters: details.missingVoters }),
    ...(details?.retryAfterMs === undefined ? {} : { retry_after_ms: details.retryAfterMs }),
  }
}
