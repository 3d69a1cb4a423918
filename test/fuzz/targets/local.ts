import { Readable } from 'node:stream'
import {
  clientEventOf,
  InputData,
  parseFrame,
  ResizeData,
  SubscribeData,
  topicOf,
  UnsubscribeData,
} from '../../../gateway/ws/pusher-frames.ts'
import { readAgentFrame } from '../../../gateway/dialects/claudenest/agent-wire.ts'
import { AGENT_FORMATS } from '../../../node/adapters/mcp-agent-files.ts'
import { changeFrontMatter, splitMarkdown } from '../../../node/adapters/skills/front-matter.ts'
import { readMarkdown } from '../../../node/adapters/skills/skill-head.ts'
import { encodeFrame, encodeJsonFrame, FRAME, parseJsonPayload, readFrames } from '../../../node/cli/attach-frames.ts'
import { CONTROL_METHODS } from '../../../node/cli/control-methods.ts'
import { answerIn } from '../../../node/hosts/agents/claude-transcript.ts'
import { createMessageComposer } from '../../../node/hosts/agents/message-composer.ts'
import { createRecordStream } from '../../../node/hosts/agents/record-stream.ts'
import { RECORD_FORMATS } from '../../../node/ports/session-host.ts'
import { MalformedError } from '../../../protocols/codec.ts'
import { createFrameReader, encodeHostFrame, lengthPrefixed } from '../../../protocols/session-stream.ts'
import { bytesOf, jsonOf, never, textOf, type Target } from '../target.ts'

const sessionId = '00000000-0000-4000-8000-000000000001'
const agentFrame = (type: string, payload: object): Uint8Array => jsonOf({ type, payload, timestamp: 1, id: 'a' })

const channel = 'private-session.00000000-0000-4000-8000-000000000001'
const DATA = [SubscribeData, UnsubscribeData, InputData, ResizeData]

function takeWebSocketFrame(bytes: Uint8Array): unknown {
  const frame = parseFrame(textOf(bytes))
  if (!frame) return undefined
  topicOf(frame.channel ?? '')
  clientEventOf(frame.event)
  for (const data of DATA) data.safeParse(frame.data)
  return frame
}

/** What a repository brings: read, described and changed. Only what is all well counts as accepted. */
function takeSkill(bytes: Uint8Array): unknown {
  const text = textOf(bytes)
  const { head } = readMarkdown(text, { place: { folder: 'x', kind: 'skill', depth: 1 }, name: 'x' })
  const yaml = splitMarkdown(text)?.yaml ?? ''
  changeFrontMatter(yaml, [
    [['name'], 'x'],
    [['metadata', 'priority'], 1],
  ])
  return head.problem === null || undefined
}

/** Whatever is thrown means that the file is not of that format. */
function takeAgentFile(bytes: Uint8Array): unknown {
  const context = { folder: '/code', home: '/home/x', variables: { KEY: 'k' } }
  const found = Object.values(AGENT_FORMATS).flatMap((read) => {
    try {
      return read(textOf(bytes), context)
    } catch {
      return []
    }
  })
  return found.some(({ problem }) => problem === null) || undefined
}

function takeCommand(bytes: Uint8Array): unknown {
  const value: unknown = JSON.parse(textOf(bytes))
  const parsed = Object.values(CONTROL_METHODS).map(({ input }) => input.safeParse(value))
  return parsed.some(({ success }) => success) || undefined
}

async function takeAttachment(bytes: Uint8Array): Promise<unknown> {
  let frames = 0
  for await (const frame of readFrames(
    Readable.from([bytes.subarray(0, 9), bytes.subarray(9)].map((part) => Buffer.from(part))),
  )) {
    if (frame.type === FRAME.resize) parseJsonPayload(frame)
    frames++
  }
  return frames > 0 ? frames : undefined
}

const claudeResult = {
  type: 'result',
  total_cost_usd: 0.5,
  modelUsage: { m: { inputTokens: 1, outputTokens: 2, cacheReadInputTokens: 3, cacheCreationInputTokens: 4 } },
}
const claudeAnswer = { type: 'assistant', message: { id: 'a', usage: { input_tokens: 1, output_tokens: 2 } } }

function takeAgentOutput(bytes: Uint8Array): unknown {
  const readings = RECORD_FORMATS.map((format) => {
    const stream = createRecordStream(format)
    stream.take(bytes.subarray(0, 7))
    stream.take(bytes.subarray(7))
    stream.rest()
    return stream.reading().usage
  })
  createMessageComposer().take(bytes)
  return answerIn(bytes) ?? readings.find((usage) => usage !== null)
}

/** From programs and pages on the same machine, which is no boundary. */
export const localTargets: readonly Target[] = [
  {
    name: 'skill in a repository',
    reach: 'a local user',
    sites: ['node/adapters/skills/skill-reading.ts decode('],
    form: 'bytes',
    samples: [
      bytesOf(
        '---\nname: debugging # it\ndescription: >\n  Finds\n  bugs\nmetadata: {tags: [a, b], version: "1"}\n---\n\n# A\n',
      ),
      bytesOf('---\r\ndescription: &d x\nmetadata:\n    title: *d\n---\r\nBody'),
    ],
    take: takeSkill,
    isRefusal: never,
  },
  {
    name: 'MCP servers in a file of an agent',
    reach: 'a local user',
    sites: ['node/adapters/mcp-agent-files.ts JSON.parse('],
    form: 'bytes',
    samples: [
      jsonOf({ mcpServers: { files: { command: 'npx', args: ['-y', '${KEY:-x}'], env: { A: '${KEY}' } } } }),
      jsonOf({ projects: { '/code': { mcpServers: {} } }, mcpServers: { far: { type: 'http', url: 'https://x.y' } } }),
      bytesOf('[mcp_servers.files]\ncommand = "npx"\nargs = ["-y", "x"]\n[mcp_servers.files.env]\nA = "b"\n'),
      bytesOf('{ // what runs\n "mcp": {"files": {"type": "local", "command": ["npx", "{env:KEY}"],}, }, }'),
    ],
    take: takeAgentFile,
    isRefusal: never,
  },
  {
    name: 'frame of a web socket',
    reach: 'a browser',
    sites: ['gateway/ws/pusher-frames.ts JSON.parse('],
    form: 'json',
    samples: [
      jsonOf({
        event: 'pusher:subscribe',
        data: { channel, auth: { headers: { Authorization: 'Bearer x' } }, from: 4 },
      }),
      jsonOf({ event: 'pusher:subscribe', data: JSON.stringify({ channel, auth: 'a:b', spelling: 'dot' }) }),
      jsonOf({ event: 'client-session:input', channel, data: { data: 'ls\n' } }),
      jsonOf({ event: 'session.resize', channel, data: { cols: 80, rows: 24 } }),
      jsonOf({ event: 'pusher:ping', data: {} }),
    ],
    take: takeWebSocketFrame,
    isRefusal: never,
  },
  {
    name: 'frame of an agent without a node',
    reach: 'a stranger',
    sites: ['gateway/dialects/claudenest/agent-wire.ts JSON.parse('],
    form: 'json',
    samples: [
      agentFrame('ping', { timestamp: 1 }),
      agentFrame('session:output', { sessionId, type: 'output', data: '\u001b[2Jhi', timestamp: 2 }),
      agentFrame('session:status', { session_id: sessionId, status: 'error', error: 'gone', pid: 7 }),
      agentFrame('session:exited', { sessionId, exitCode: 1 }),
      agentFrame('error', { originalType: 'session:create', code: 'SESSION_CAPACITY_REACHED', message: 'full' }),
      agentFrame('machine:info', { hostname: 'laptop', agentVersion: '1.4.2', maxSessions: 4, capabilities: {} }),
      agentFrame('skills:discovered', { count: 0, skills: [] }),
    ],
    take: (bytes) => {
      const message = readAgentFrame(textOf(bytes))
      return message.kind === 'bad' ? undefined : message
    },
    isRefusal: never,
  },
  {
    name: 'command on the control socket',
    reach: 'a local user',
    sites: ['node/cli/control-server.ts JSON.parse('],
    form: 'json',
    samples: [
      jsonOf({}),
      jsonOf({ member: 'beta' }),
      jsonOf({ members: ['a', 'b'], force: { reason: 'lost' } }),
      jsonOf({ project: 'p', task: { title: 'T', priority: 'high', dependencies: [] } }),
      jsonOf({ machine: 'm', mode: 'interactive', cols: 80, rows: 24 }),
    ],
    take: takeCommand,
    isRefusal: (error) => error instanceof SyntaxError,
  },
  {
    name: 'terminal on the control socket',
    reach: 'a local user',
    sites: [
      'node/cli/attach-server.ts readFrames(',
      'node/cli/commands/session.ts readFrames(',
      'node/cli/show-execution.ts readFrames(',
      'node/cli/attach-frames.ts JSON.parse(',
    ],
    form: 'bytes',
    samples: [
      encodeFrame(FRAME.input, new Uint8Array([108, 115, 10])),
      encodeJsonFrame(FRAME.resize, { cols: 80, rows: 24 }),
    ],
    take: takeAttachment,
    isRefusal: (error) =>
      error instanceof SyntaxError || (error instanceof Error && error.message.includes('over the limit')),
  },
  {
    name: 'frames of a session host',
    reach: 'a local user',
    sites: ['node/hosts/frame-socket.ts createFrameReader()'],
    form: 'bytes',
    samples: [lengthPrefixed(encodeHostFrame({ type: 'output', seq: 1, bytes: new Uint8Array(9) }))],
    take(bytes) {
      const read = createFrameReader()
      return [...read(bytes.subarray(0, 3)), ...read(bytes.subarray(3))].length || undefined
    },
    isRefusal: (error) => error instanceof MalformedError,
  },
  {
    name: 'records of an agent',
    reach: 'a local user',
    sites: [
      'node/hosts/agents/record-stream.ts JSON.parse(',
      'node/hosts/agents/message-composer.ts JSON.parse(',
      'node/hosts/agents/claude-transcript.ts JSON.parse(',
    ],
    form: 'json',
    samples: [
      jsonOf(claudeResult),
      jsonOf(claudeAnswer),
      jsonOf({ type: 'turn.completed', usage: { input_tokens: 1, output_tokens: 2 } }),
      jsonOf({
        type: 'step_finish',
        part: { cost: 0.5, tokens: { input: 1, output: 2, cache: { read: 3, write: 4 } } },
      }),
      jsonOf({ type: 'result', stats: { total_tokens: 4, input_tokens: 1, output_tokens: 2 } }),
    ],
    take: takeAgentOutput,
    isRefusal: never,
  },
]
