import type { Command } from 'commander'
import { ask, command, print, table, type CommonOptions } from '../command.ts'
import type { AuthorStorage, DocumentStorage, StorageView } from '../storage-view.ts'

export function storageCommand(): Command {
  return command('storage', 'show what takes space, and how fast it grows')
    .addHelpText(
      'after',
      '\nBytes are those of keys and values; on disk they are compressed. Growth is that of the last seven days, by the times\nthat authors wrote into their envelopes.',
    )
    .action(async (options: CommonOptions) => {
      const view = await ask<StorageView>(options, 'storage.view')
      print(options, wireStorage(view), () => linesOf(view))
    })
}

function linesOf(view: StorageView): string[] {
  const { membership, summaries, facts, disk } = view
  return [
    ...table([
      ['DOCUMENT', 'ENVELOPES', 'FEEDS', 'SNAPSHOT', 'PER DAY', 'STRUCTS'],
      ...view.documents.flatMap(documentRows),
    ]),
    '',
    ...table([
      ['membership log', `${membership.count} records`, readable(membership.bytes)],
      ['summaries and index', String(summaries.count), readable(summaries.bytes)],
      ['facts of this node', String(facts.count), readable(facts.bytes)],
    ]),
    '',
    ...table([
      ['ON DISK', '', ''],
      ['store of all that', '', readable(disk.storeBytes)],
      ["voter's journal", '', readable(disk.voterJournalBytes)],
      ['index of the context', '', readable(disk.contextIndexBytes)],
      ['session logs', `${disk.sessions.length} sessions`, sumOf(disk.sessions)],
      ['output of commands', `${disk.executions.length} executions`, sumOf(disk.executions)],
      ['audit log', '', readable(disk.auditBytes)],
      ['other', disk.other.map(({ path }) => path).join(', '), readable(disk.otherBytes)],
      ['data directory', '', readable(disk.totalBytes)],
    ]),
    '',
    `All documents grow by ${readable(view.bytesPerDay)} a day.`,
  ]
}

const documentRows = (document: DocumentStorage): string[][] => [
  [
    document.id,
    ...figures(document),
    document.snapshotBytes === 0 ? '–' : readable(document.snapshotBytes),
    readable(document.bytesPerDay),
    document.structs === null ? 'not loaded' : String(document.structs),
  ],
  // The same again would be no news.
  ...(document.authors.length > 1
    ? document.authors.map((author) => [`  ${author.name}`, ...figures(author), '', readable(author.bytesPerDay), ''])
    : []),
]

const sumOf = (all: readonly { readonly bytes: number }[]): string =>
  readable(all.reduce((sum, { bytes }) => sum + bytes, 0))

const figures = ({ envelopes, bytes }: Pick<AuthorStorage, 'envelopes' | 'bytes'>): string[] => [
  String(envelopes),
  readable(bytes),
]

const UNITS = ['B', 'kB', 'MB', 'GB'] as const

export function readable(bytes: number): string {
  const power = Math.min(UNITS.length - 1, Math.max(0, Math.floor(Math.log10(Math.max(1, bytes)) / 3)))
  return `${(bytes / 1000 ** power).toFixed(power === 0 ? 0 : 1)} ${UNITS[power] ?? ''}`
}

const wireFigures = ({
  envelopes,
  bytes,
  bytesPerDay,
}: Pick<AuthorStorage, 'envelopes' | 'bytes' | 'bytesPerDay'>) => ({
  envelopes,
  bytes,
  bytes_per_day: bytesPerDay,
})

const wireStorage = (view: StorageView): object => ({
  documents: view.documents.map((document) => ({
    id: document.id,
    ...wireFigures(document),
    snapshot_bytes: document.snapshotBytes,
    loaded: document.loaded,
    structs: document.structs,
    authors: document.authors.map((author) => ({ peer_id: author.peer, name: author.name, ...wireFigures(author) })),
  })),
  membership: view.membership,
  summaries: view.summaries,
  facts: view.facts,
  voter_journal_bytes: view.disk.voterJournalBytes,
  sessions: view.disk.sessions,
  executions: view.disk.executions,
  audit_bytes: view.disk.auditBytes,
  context_index_bytes: view.disk.contextIndexBytes,
  store_bytes_on_disk: view.disk.storeBytes,
  other_bytes: view.disk.otherBytes,
  other: view.disk.other,
  total_bytes: view.disk.totalBytes,
  bytes_per_day: view.bytesPerDay,
})
