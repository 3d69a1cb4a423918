import type { CallToolResult } from '@modelcontextprotocol/sdk/types.js'
import type { McpResult } from '../../crdt/mcp.ts'

/** Text and blocks of an answer, each: one between nodes holds 1 MB, and JSON within JSON is longer. */
const TEXT_CHARS_MAX = 200_000
const BLOCKS_CHARS_MAX = 300_000
const STRUCTURED_CHARS_MAX = 100_000

type Block = CallToolResult['content'][number]

/** What a tool answered, as one text and as it is; what does not fit is left out, and that is said. */
export function boundedResult({ content, structuredContent }: CallToolResult): McpResult {
  const told = contentOf(content, structuredContent)
  let chars = 0
  const blocks = content.filter((block) => (chars += JSON.stringify(block).length) <= BLOCKS_CHARS_MAX)
  const structured = structuredContent !== undefined && JSON.stringify(structuredContent).length <= STRUCTURED_CHARS_MAX
  // Half a picture is no picture.
  const isCut = told.content.length > TEXT_CHARS_MAX
  const text = !isCut ? told.content : told.isText ? told.content.slice(0, TEXT_CHARS_MAX) : ''
  return {
    content: text,
    mimeType: told.mimeType,
    blocks: blocks.map((block) => ({ ...block })),
    structured: structured ? structuredContent : null,
    truncated: isCut || blocks.length < content.length || (structuredContent !== undefined && !structured),
  }
}

type Told = { readonly content: string; readonly mimeType: string; readonly isText: boolean }

function contentOf(blocks: readonly Block[], structured: unknown): Told {
  const texts = blocks.flatMap(textOf)
  const [only] = texts
  if (only !== undefined)
    return {
      content: texts.map(({ text }) => text).join('\n'),
      mimeType: texts.length === 1 ? only.mimeType : 'text/plain',
      isText: true,
    }
  for (const block of blocks) {
    if (block.type === 'image' || block.type === 'audio')
      return { content: block.data, mimeType: block.mimeType, isText: false }
    if (block.type === 'resource' && 'blob' in block.resource)
      return {
        content: block.resource.blob,
        mimeType: block.resource.mimeType ?? 'application/octet-stream',
        isText: false,
      }
    if (block.type === 'resource_link') return { content: block.uri, mimeType: 'text/uri-list', isText: true }
  }
  if (structured === undefined) return { content: '', mimeType: 'text/plain', isText: true }
  return { content: JSON.stringify(structured), mimeType: 'application/json', isText: true }
}

function textOf(block: Block): { text: string; mimeType: string }[] {
  if (block.type === 'text') return [{ text: block.text, mimeType: 'text/plain' }]
  if (block.type === 'resource' && 'text' in block.resource)
    return [{ text: block.resource.text, mimeType: block.resource.mimeType ?? 'text/plain' }]
  return []
}
