import { expect, test } from 'vitest'
import * as Y from 'yjs'
import { SessionId, type MachineId } from '../../../crdt/ids.ts'
import {
  deleteSession,
  ENDED_SESSIONS_KEPT_MAX,
  pickExcess,
  readMachineFacts,
  readSessions,
  writeMachineFacts,
  writeSession,
} from '../../../crdt/machine-document.ts'
import { machineIdOf } from '../../../crdt/machine-id.ts'
import type { Session } from '../../../crdt/session.ts'
import { identity } from '../../support/identity.ts'

const owner = { peer: identity(1).peer, machineId: '00000000-0000-4000-8000-0000000000aa' as MachineId }
const session = (n: number, change: Partial<Session> = {}): Session => ({
  id: SessionId.parse(`00000000-0000-4000-8000-${String(n).padStart(12, '0')}`),
  machineId: owner.machineId,
  node: owner.peer,
  mode: 'interactive',
  agent: 'shell',
  projectPath: '/p',
  createdAt: '2027-01-15T08:00:00.000Z',
  createdBy: 'user',
  status: 'running',
  ptySize: { cols: 120, rows: 40 },
  startedAt: '2027-01-15T08:00:00.000Z',
  endedAt: null,
  exitCode: null,
  problem: null,
  usage: null,
  ...change,
})
const facts = {
  name: 'desk',
  hostname: 'desk.local',
  platform: 'linux',
  arch: 'x64',
  nodeVersion: '24.0.0',
  rookeryVersion: '0.1.0',
  claudeVersion: null,
  claudePath: null,
  agents: { codex: '/usr/bin/codex' },
  capabilities: [],
  maxSessions: 10,
  alwaysOn: true,
}

test('facts and sessions come back as they were written, on another replica too', () => {
  const doc = new Y.Doc()
  writeMachineFacts(doc, facts)
  writeSession(doc, session(1))
  writeSession(doc, session(2, { status: 'completed', exitCode: 0, endedAt: '2027-01-15T09:00:00.000Z' }))
  const other = new Y.Doc()
  Y.applyUpdate(other, Y.encodeStateAsUpdate(doc))
  for (const replica of [doc, other]) {
    expect(readMachineFacts(replica)).toEqual(facts)
    expect(readSessions(replica, owner)).toEqual([
      session(1),
      session(2, { status: 'completed', exitCode: 0, endedAt: '2027-01-15T09:00:00.000Z' }),
    ])
  }
})

test('writing what is there already writes nothing', () => {
  const doc = new Y.Doc()
  expect([writeMachineFacts(doc, facts), writeSession(doc, session(1))]).toEqual([true, true])
  const updates: Uint8Array[] = []
  doc.on('update', (update: Uint8Array) => updates.push(update))
  expect([writeMachineFacts(doc, { ...facts }), writeSession(doc, session(1))]).toEqual([false, false])
  expect(updates).toEqual([])
})

test('a change of status does not write again what never changes', () => {
  const doc = new Y.Doc()
  writeSession(doc, session(1, { projectPath: `/${'long'.repeat(500)}` }))
  const sizes: number[] = []
  doc.on('update', (update: Uint8Array) => sizes.push(update.byteLength))
  writeSession(doc, session(1, { projectPath: `/${'long'.repeat(500)}`, status: 'terminated' }))
  expect(sizes).toHaveLength(1)
  expect(sizes[0]).toBeLessThan(400)
})

test('[M13] what is not valid is not read, and the rest is', () => {
  const doc = new Y.Doc()
  writeSession(doc, session(1))
  doc.getMap('sessions').set('no uuid', { mode: 'interactive' })
  doc.getMap('sessions').set(session(2).id, { mode: 'explosive' })
  doc.getMap('session-states').set(session(3).id, {})
  doc.getMap('facts').set('self', { name: 5 })
  expect([readSessions(doc, owner), readMachineFacts(doc)]).toEqual([[session(1)], undefined])
})

test('a session says it belongs to the machine whose document it is in, whatever the record says', () => {
  const doc = new Y.Doc()
  const forged = { ...session(1), machineId: 'another', node: identity(2).peer }
  doc.getMap('sessions').set(session(1).id, forged)
  doc.getMap('session-states').set(session(1).id, forged)
  expect(readSessions(doc, owner)).toEqual([session(1)])
})

test('a deleted session is gone entirely', () => {
  const doc = new Y.Doc()
  writeSession(doc, session(1))
  deleteSession(doc, session(1).id)
  expect([readSessions(doc, owner), doc.getMap('sessions').size, doc.getMap('session-states').size]).toEqual([[], 0, 0])
})

test('of ended sessions the ones that ended last are kept; live ones never count', () => {
  const ended = Array.from({ length: ENDED_SESSIONS_KEPT_MAX + 3 }, (_, n) =>
    session(n, { status: 'completed', endedAt: new Date(Date.UTC(2027, 0, 1) + n * 1000).toISOString() }),
  )
  expect(pickExcess([...ended, session(900), session(901)]).map(({ id }) => id)).toEqual(
    [session(2), session(1), session(0)].map(({ id }) => id),
  )
})

test('sessions of machines that a gateway bridges lie in its document, and are told apart', () => {
  const doc = new Y.Doc()
  const gateway = { peer: owner.peer, machineId: machineIdOf(owner.peer) }
  const own = session(1, { machineId: gateway.machineId })
  const bridged = session(2, { machineId: '00000000-0000-4000-8000-0000000000bb' as MachineId })
  writeSession(doc, own)
  writeSession(doc, bridged)
  expect(readSessions(doc, gateway)).toEqual([own, bridged])
})

test('no document can say that a session runs on a machine that has a node', () => {
  const doc = new Y.Doc()
  writeSession(doc, session(1))
  const stored = doc.getMap('sessions').get(session(1).id)
  doc.getMap('sessions').set(session(1).id, { ...(stored as object), machine: machineIdOf(identity(2).peer) })
  expect(readSessions(doc, owner)).toEqual([])
})

test('ended sessions of bridged machines do not crowd out those of the gateway itself', () => {
  const ended = (n: number, machineId: MachineId): Session =>
    session(n, { machineId, status: 'completed', endedAt: new Date(Date.UTC(2027, 0, 1, 0, n)).toISOString() })
  const own = ended(0, machineIdOf(owner.peer))
  const bridged = Array.from({ length: ENDED_SESSIONS_KEPT_MAX + 1 }, (_, i) => ended(i + 1, owner.machineId))
  expect(pickExcess([own, ...bridged]).map(({ id }) => id)).toEqual([session(1).id])
})
