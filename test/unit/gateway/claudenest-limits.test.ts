import { expect, it } from 'vitest'
import { REASON_CHARS_MAX } from '../../../crdt/lock-record.ts'
import { BRIEF_CHARS_MAX, ProjectFields } from '../../../crdt/project-document.ts'
import { claudenestRoutes } from '../../../gateway/dialects/claudenest/routes.ts'

const takes = (doc: string, body: object): boolean => {
  const row = claudenestRoutes.find((route) => route.doc === doc)
  if (!row) throw new Error(`no route ${doc}`)
  return row.body.safeParse(body).success
}

/** What the OpenAPI document says is made of the rows: what they take and a document cannot hold is refused all the same. */
it('takes as much of a project as its document can hold, and no more', () => {
  const minutesMax = 7 * 24 * 60
  expect(ProjectFields.shape['settings.taskTimeoutMinutes'].safeParse(minutesMax + 1).success).toBe(false)
  expect(takes('6.4 Update project', { settings: { taskTimeoutMinutes: minutesMax } })).toBe(true)
  expect(takes('6.4 Update project', { settings: { taskTimeoutMinutes: minutesMax + 1 } })).toBe(false)
  for (const field of ['summary', 'architecture', 'conventions', 'current_focus', 'recent_changes']) {
    expect(takes('6.4 Update project', { [field]: 'x'.repeat(BRIEF_CHARS_MAX) })).toBe(true)
    expect(takes('6.4 Update project', { [field]: 'x'.repeat(BRIEF_CHARS_MAX + 1) })).toBe(false)
  }
})

it('takes as long a reason of a lock as its record can hold', () => {
  const lock = { path: 'a.ts', instance_id: 'one' }
  expect(takes('9.2 Acquire lock', { ...lock, reason: 'x'.repeat(REASON_CHARS_MAX) })).toBe(true)
  expect(takes('9.2 Acquire lock', { ...lock, reason: 'x'.repeat(REASON_CHARS_MAX + 1) })).toBe(false)
})
