import { describe, expect, it } from 'vitest'
import { agentFrame, readAgentFrame } from '../../../gateway/dialects/claudenest/agent-wire.ts'
import { sessionId } from '../../support/session-lab.ts'

const id = sessionId(1)
const read = (type: string, payload?: unknown) =>
  readAgentFrame(JSON.stringify({ type, payload, timestamp: 1, id: 'a' }))

describe('frames of agents', () => {
  it.each([
    ['session:output', { sessionId: id, type: 'output', data: 'x' }, { type: 'output', text: 'x', stream: 'output' }],
    ['session:output', { sessionId: id, type: 'error', data: 'x' }, { type: 'output', text: 'x', stream: 'error' }],
    ['session:output', { session_id: id, data: 'x' }, { type: 'output', text: 'x', stream: 'output' }],
    [
      'session:status',
      { sessionId: id, status: 'running', pid: 4 },
      { type: 'status', status: 'running', problem: null },
    ],
    [
      'session:status',
      { sessionId: id, status: 'error', error: 'no' },
      { type: 'status', status: 'error', problem: 'no' },
    ],
    ['session:exited', { sessionId: id, exitCode: 3 }, { type: 'exited', exitCode: 3 }],
    ['session:exited', { session_id: id, exit_code: 3 }, { type: 'exited', exitCode: 3 }],
    ['session:exited', { sessionId: id }, { type: 'exited', exitCode: null }],
    [
      'error',
      { originalType: 'session:get_info', sessionId: id, code: 'SESSION_NOT_FOUND', message: 'gone' },
      { type: 'refused', order: 'inquire', isUnknown: true, message: 'gone' },
    ],
    [
      'error',
      { originalType: 'session:terminate', sessionId: id, message: 'Session 7 not found' },
      { type: 'refused', order: 'terminate', isUnknown: true, message: 'Session 7 not found' },
    ],
  ])('say as %s %j what happened to a session', (type, payload, report) => {
    expect(read(type, payload)).toEqual({ kind: 'report', report: { id, ...report } })
  })

  it('refuse a creation without saying which', () => {
    const payload = { originalType: 'session:create', code: 'SESSION_CAPACITY_REACHED', message: 'full' }
    const report = { type: 'refused', order: 'create', id: undefined, isUnknown: false, message: 'full' }
    expect(read('error', payload)).toEqual({ kind: 'report', report })
  })

  it.each([
    ['session:status', { sessionId: id, ptySize: { cols: 100, rows: 30 } }],
    ['session:output', { sessionId: id, type: 'status', data: 'thinking' }],
    ['error', { originalType: 'mcp:start', name: 'x', message: 'no' }],
    ['session:recovered', { sessionId: id }],
    ['skill:content', {}],
    ['pong', undefined],
  ])('that are of no use are passed over: %s %j', (type, payload) => {
    expect(read(type, payload)).toEqual({ kind: 'passed over' })
  })

  it('leave out of what is said of a machine what does not fit', () => {
    const info = {
      hostname: 'x'.repeat(600),
      platform: 'li\u001b[2Jnux',
      arch: 'arm64',
      agentVersion: '1.4.2',
      claudeVersion: null,
      maxSessions: -1,
      capabilities: { supportsPTY: true },
    }
    expect(read('machine:info', info)).toEqual({ kind: 'facts', facts: { arch: 'arm64', rookeryVersion: '1.4.2' } })
  })

  it.each([
    ['session:output', { sessionId: 'x', data: 'x' }, 'payload.sessionId'],
    ['session:output', { sessionId: id, data: { text: 'x' } }, 'payload.data'],
    ['session:status', { sessionId: id, status: 'asleep' }, 'payload.status'],
    ['session:exited', { sessionId: id, exitCode: 'one' }, 'payload.exitCode'],
    ['session:exited', null, 'payload.sessionId'],
  ])('of a known type that make no sense name the field: %s %j', (type, payload, field) => {
    expect(read(type, payload)).toMatchObject({ kind: 'bad', type, problem: expect.stringContaining(field) })
  })

  it('of unknown types are told apart', () => {
    expect(read('teapot:brewed')).toEqual({ kind: 'unknown', type: 'teapot:brewed' })
    expect(read('__proto__')).toEqual({ kind: 'unknown', type: '__proto__' })
  })
})

describe('frames to agents', () => {
  it('have the names and fields that agents of ClaudeNest read', () => {
    const size = { cols: 90, rows: 30 }
    const created = { id, mode: 'headless', agent: 'claude', projectPath: '/p', prompt: 'go', size } as const
    expect([
      agentFrame({ type: 'create', ...created }),
      agentFrame({ type: 'create', ...created, agent: 'shell', mode: 'interactive', projectPath: null, prompt: null }),
      agentFrame({ type: 'input', id, text: 'ls' }),
      agentFrame({ type: 'resize', id, size }),
      agentFrame({ type: 'terminate', id, force: true }),
      agentFrame({ type: 'inquire', id }),
    ]).toEqual([
      {
        type: 'session:create',
        payload: { sessionId: id, mode: 'headless', projectPath: '/p', initialPrompt: 'go', ptySize: size },
      },
      { type: 'session:create', payload: { sessionId: id, mode: 'bash', ptySize: size } },
      { type: 'session:input', payload: { sessionId: id, data: 'ls' } },
      { type: 'session:resize', payload: { sessionId: id, ...size } },
      { type: 'session:terminate', payload: { sessionId: id, force: true } },
      { type: 'session:get_info', payload: { sessionId: id } },
    ])
  })
})
