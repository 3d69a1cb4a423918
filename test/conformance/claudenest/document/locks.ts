import { z } from 'zod'
import { count, flatAndNested, rest, shape, text, time } from './row.ts'
import type { RestRow } from './row.ts'

const Lock = shape({
  path: text,
  locked_by: text,
  reason: text.nullable(),
  locked_at: time,
  expires_at: time,
  remaining_seconds: count,
})
const OneLock = flatAndNested('lock', Lock)

export const lockRows: readonly RestRow[] = [
  rest('9.1', 'GET /api/projects/:project/locks', {
    reply: z.array(Lock),
    errors: ['PRJ_001'],
    says: ['says how long each lasts', 'says how surely each is held'],
  }),
  rest('9.2', 'POST /api/projects/:project/locks', {
    body: {
      path: 'src/auth.php',
      instance_id: 'instance_1',
      reason: 'Refactoring authentication',
      duration_minutes: 30,
    },
    status: 201,
    reply: OneLock,
    errors: ['PRJ_001', 'LCK_001'],
    says: [
      'names holder and expiry to another instance',
      'takes locked_by and expires_at for instance_id and duration_minutes',
      'says how surely it is held, and takes exclusive',
      'takes a pattern, and says what that covers',
      'knows a path by any spelling, and none outside the project',
    ],
  }),
  rest('9.3', 'POST /api/projects/:project/locks/check', {
    body: { path: 'src/auth.php' },
    reply: shape({
      locked: z.boolean(),
      locked_by: text.nullable(),
      reason: text.nullable(),
      expires_at: time.nullable(),
    }),
    errors: ['PRJ_001'],
    says: ['tells of a lock, and how surely it is held', 'tells that there is none'],
  }),
  rest('9.4', 'POST /api/projects/:project/locks/extend', {
    body: { path: 'src/auth.php', instance_id: 'instance_1', additional_minutes: 15 },
    reply: OneLock,
    errors: ['PRJ_001', 'LCK_001'],
    says: ['extends', 'takes minutes for additional_minutes', 'says how surely it is held'],
  }),
  rest('9.5', 'POST /api/projects/:project/locks/bulk', {
    body: {
      paths: ['src/auth.php', 'src/User.php'],
      instance_id: 'instance_1',
      reason: 'Auth refactor',
      duration_minutes: 30,
    },
    reply: shape({
      acquired: z.array(text),
      failed: z.array(text),
      failed_details: z.record(text, shape({ locked_by: text, reason: text.nullable() })),
    }),
    errors: ['PRJ_001'],
    says: [
      'answers what it got, what not, and why',
      'says how surely each is held',
      'takes nothing with all_or_nothing when one is held',
    ],
  }),
  rest('9.6', 'POST /api/projects/:project/locks/release', {
    body: { path: 'src/auth.php', instance_id: 'instance_1' },
    reply: z.null(),
    errors: ['PRJ_001', 'LCK_001'],
    says: ['releases'],
  }),
  rest('9.7', 'POST /api/projects/:project/locks/force-release', {
    body: { path: 'src/auth.php' },
    reply: z.null(),
    errors: ['PRJ_001'],
    says: ['releases whoever holds it', 'needs lock:admin'],
  }),
  rest('9.8', 'POST /api/projects/:project/locks/release-by-instance', {
    body: { instance_id: 'instance_1' },
    reply: shape({ released_count: count }),
    errors: ['PRJ_001', 'LCK_001'],
    says: ['gives back all that the instance holds, and nothing of others'],
  }),
]
