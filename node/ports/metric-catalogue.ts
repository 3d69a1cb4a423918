type Metric = {
  readonly type: 'counter' | 'gauge' | 'histogram'
  readonly help: string
  readonly labels: readonly string[]
  /** Upper bounds of a histogram's buckets. */
  readonly buckets?: readonly number[]
}

/** From what a person does not notice to what an answer may take at most (3 s, and what the caller chose to wait). */
const LEASE_SECONDS = [0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2, 4]
const REQUEST_SECONDS = [0.001, 0.005, 0.02, 0.1, 0.5, 2, 10]

/**
 * Every metric there is, as `/metrics` and `rookery metrics` show them. Names and labels are an interface: dashboards and
 * alerts of others use them. A label takes its values from a small set, from the members, or from at most
 * `DOCUMENTS_LABELLED_MAX` documents; `member` is a peer id, and `rookery_member_info` has its name.
 */
export const METRICS = {
  rookery_build_info: gauge('Always 1; carries the version of the program.', ['version']),
  rookery_members: gauge('Members of the mesh, this node included.'),
  rookery_member_info: gauge('Always 1; the name of each member.', ['member', 'name']),
  rookery_member_online: gauge('1 while the member is heard, else 0; 1 for this node.', ['member']),
  rookery_member_last_heard_timestamp_seconds: gauge('When the member was heard last, by this clock.', ['member']),
  rookery_member_round_trip_seconds: gauge('Round trip of a heartbeat to a connected member, measured every 30 s.', [
    'member',
  ]),
  rookery_member_clock_skew_seconds: gauge('How far the wall clock of the member is ahead of this one.', ['member']),
  rookery_member_lag_envelopes: gauge('Envelopes a connected member lacked when it last said where it stands.', [
    'member',
  ]),
  rookery_peers_connected: gauge('Connected members, by how they are reached (loopback, lan, wan, relay).', [
    'reached',
  ]),
  rookery_document_lag_envelopes: gauge('Envelopes that connected members have or that wait here, not yet applied.', [
    'document',
  ]),
  rookery_documents: gauge('Known documents, by whether they are in memory (loaded, unloaded).', ['state']),
  rookery_document_envelopes: gauge('Envelopes applied, in all documents.'),
  rookery_envelopes_waiting: gauge('Received envelopes that wait for others.'),
  rookery_authors_frozen: gauge('Authors whose feeds are frozen because they broke the rules.'),
  rookery_envelopes_written_total: counter('Envelopes this node wrote.'),
  rookery_envelopes_sent_total: counter(
    'Envelopes sent, once per member: as they came up (push), or because one was missing (answer).',
    ['why'],
  ),
  rookery_envelopes_received_total: counter('Envelopes received, by what became of them (applied, waiting, refused).', [
    'outcome',
  ]),
  rookery_envelopes_refused_total: counter('Refused envelopes, by reason.', ['reason']),
  rookery_sync_dropped_frames_total: counter('Frames not sent because the member took none; it catches up later.'),
  rookery_sync_outbox_bytes: gauge('Bytes that wait for a connected member to take them.', ['member']),
  rookery_leases_total: counter('What became of leases, by what they were wanted for (task, lock, account).', [
    'purpose',
    'outcome',
  ]),
  rookery_lease_request_duration_seconds: histogram('Time until a lease was granted or refused.', LEASE_SECONDS, [
    'purpose',
  ]),
  rookery_leases_held: gauge('Leases this node holds.'),
  rookery_voters: gauge('Voters, by whether they are heard (online, offline).', ['state']),
  rookery_voters_quorum: gauge('Voters that have to agree to a lease.'),
  rookery_sessions: gauge('Sessions on this machine (running, ended).', ['state']),
  rookery_store_bytes: gauge('Space on the disk (documents, leases, context, sessions, executions, audit).', ['store']),
  rookery_event_loop_delay_seconds: gauge('How late the event loop was, over the last one to two minutes.', [
    'quantile',
  ]),
  rookery_process_resident_memory_bytes: gauge('Memory of the node in RAM.'),
  rookery_process_heap_used_bytes: gauge('JavaScript objects in use, and garbage not yet collected.'),
  rookery_process_open_fds: gauge('Open file descriptors (Linux).'),
  rookery_process_cpu_seconds_total: counter('CPU time of the node.'),
  rookery_process_start_time_seconds: gauge('When the process started, in seconds since 1970.'),
  rookery_http_requests_total: counter('Requests answered by the gateway.', ['method', 'route', 'status']),
  rookery_http_request_duration_seconds: histogram(
    'Time from the request line to the end of the answer.',
    REQUEST_SECONDS,
    ['method', 'route'],
  ),
  rookery_sockets_open: gauge('WebSockets now open at the gateway.'),
} as const

type Catalogue = typeof METRICS
export type MetricName = keyof Catalogue
type NameOf<T extends Metric['type']> = {
  [N in MetricName]: Catalogue[N]['type'] extends T ? N : never
}[MetricName]
export type CounterName = NameOf<'counter'>
export type HistogramName = NameOf<'histogram'>
/** What can be read when somebody looks. */
export type ReadableName = NameOf<'gauge' | 'counter'>

export type Labels<N extends MetricName> = Readonly<Record<Catalogue[N]['labels'][number], string>>

function gauge<const L extends string = never>(help: string, labels: readonly L[] = []) {
  return { type: 'gauge', help, labels } as const
}

function counter<const L extends string = never>(help: string, labels: readonly L[] = []) {
  return { type: 'counter', help, labels } as const
}

function histogram<const L extends string = never>(help: string, buckets: readonly number[], labels: readonly L[]) {
  return { type: 'histogram', help, buckets, labels } as const
}
