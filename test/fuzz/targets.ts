import { feedTargets } from './targets/feeds.ts'
import { leaseTargets } from './targets/leases.ts'
import { localTargets } from './targets/local.ts'
import { memberTargets } from './targets/members.ts'
import { strangerTargets } from './targets/strangers.ts'
import type { Target } from './target.ts'

/** Everything that decodes bytes from elsewhere. */
export const TARGETS: readonly Target[] = [
  ...strangerTargets,
  ...memberTargets,
  ...feedTargets,
  ...leaseTargets,
  ...localTargets,
]

const OWN_STORE = 'what this node has written to its own store: damage is what the tests of the store are for'
const OF_GATEWAYS = 'opened with a key that only gateways have, and authenticated: a gateway is trusted with accounts'
const OWN_FILES = "files of the node's own user, which owns the node"
const CHOSEN_MODEL = 'what a model answers that the owner chose: the contract suites feed its adapters nonsense'

/** What decodes only what this node or its user has written. */
export const OUT_OF_REACH: Readonly<Record<string, string>> = {
  'node/adapters/agent-text-model.ts JSON.parse(': CHOSEN_MODEL,
  'node/adapters/chunk-rows.ts JSON.parse(': OWN_STORE,
  'node/adapters/model-http.ts JSON.parse(': CHOSEN_MODEL,
  'node/adapters/mcp-definition-file.ts JSON.parse(': OWN_FILES,
  'node/adapters/mcp-processes.ts JSON.parse(': OWN_FILES,
  'node/adapters/mcp-sign-in-files.ts JSON.parse(': OWN_FILES,
  'node/adapters/level-sizes.ts decodeCanonical(Written': OWN_STORE,
  'node/adapters/level-store.ts decodeInPlace(StoredSnapshot': OWN_STORE,
  'node/cli/remembered.ts decodeCanonical(Addresses': OWN_STORE,
  'node/cli/remembered.ts decodeCanonical(Port': OWN_STORE,
  'node/cli/remembered.ts decodeCanonical(z.int': OWN_STORE,
  'node/services/commands/command-registry.ts JSON.parse(': OWN_STORE,
  'node/services/commands/command-registry.ts decodeCanonical(z.object': OWN_STORE,
  'node/services/context/pending-completions.ts decodeCanonical(z.array': OWN_STORE,
  'node/services/feeds/followers.ts decodeCanonical(SummaryBody': OWN_STORE,
  'node/services/feeds/forks.ts decodeCanonical(Index': OWN_STORE,
  'node/services/feeds/forks.ts decodeCanonical(Stored': OWN_STORE,
  'node/services/feeds/forks.ts decodeInPlace(Part': OWN_STORE,
  'node/services/feeds/frozen.ts decodeCanonical(Evidence': OWN_STORE,
  'node/services/feeds/frozen.ts decodeCanonical(Index': OWN_STORE,
  'node/services/feeds/loading.ts .applyUpdateV2(': OWN_STORE,
  'node/services/feeds/loading.ts decodeInPlace(SnapshotBody': OWN_STORE,
  'node/services/feeds/restoration.ts decodeCanonical(Stored.nullable': OWN_STORE,
  'node/services/locks/lock-keeping.ts decodeCanonical(Kept': OWN_STORE,
  'node/services/locks/lock-keeping.ts decodeCanonical(KeptFact': OWN_STORE,
  'node/services/membership/contact-watch.ts decodeCanonical(Saved': OWN_STORE,
  'node/services/sync/presence-beat.ts decodeCanonical(z.int': OWN_STORE,
  'node/services/voters/availability-watch.ts decodeCanonical(Saved': OWN_STORE,
  'protocols/lease/records.ts decodeCanonical(VoterRecord': OWN_STORE,
  'protocols/lease/equivocation.ts decodeCanonical(PackedPair': 'what this process has encoded itself',
  'node/services/accounts/account-cipher.ts decodeCanonical(schema': OF_GATEWAYS,
  'node/services/accounts/account-preferences.ts JSON.parse(': OF_GATEWAYS,
  'node/cli/restoring.ts JSON.parse(': 'authenticated by the passphrase that the backup was made with',
  'node/cli/commands/mcp.ts JSON.parse(': 'what the person at the terminal has typed',
  'node/cli/config.ts JSON.parse(': OWN_FILES,
  'node/cli/control-client.ts JSON.parse(': 'answers of the node whose 0600 socket this is',
  'node/cli/version.ts JSON.parse(': 'part of this program',
  'node/hosts/private-json.ts JSON.parse(': OWN_FILES,
  'node/hosts/session-log.ts JSON.parse(': OWN_FILES,
}
