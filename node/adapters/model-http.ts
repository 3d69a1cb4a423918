import { open } from 'node:fs/promises'
import type { z } from 'zod'
import { ModelError } from '../ports/model-error.ts'

/** Where a model is asked, and with which key. */
export type ModelEndpoint = {
  readonly url: string
  /** A file that only this user can read, with the key and nothing else; read for every request, so it can be replaced. */
  readonly keyFile?: string | undefined
}

type Question<T extends z.ZodType> = {
  readonly path: string
  readonly body: object
  /** Beside the usual ones. */
  readonly headers: (key: string | undefined) => Record<string, string>
  readonly reply: T
  readonly timeoutMs: number
}

/** 64 vectors of 4096 numbers, written out, are some 6 MB. */
const ANSWER_BYTES_MAX = 32 * 1024 * 1024
const KEY_BYTES_MAX = 8 * 1024
const MESSAGE_CHARS_MAX = 200

/** Asks once, follows nobody elsewhere, waits no longer than told. @throws ModelError */
export async function askModel<T extends z.ZodType>(
  { url, keyFile }: ModelEndpoint,
  question: Question<T>,
  signal: AbortSignal,
): Promise<z.infer<T>> {
  const key = keyFile === undefined ? undefined : await readKey(keyFile)
  const target = `${url.replace(/\/+$/, '')}${question.path}`
  const host = new URL(url).host
  let status: number
  let text: string
  let retryAfterMs: number | undefined
  try {
    const answer = await fetch(target, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...question.headers(key) },
      body: JSON.stringify(question.body),
      redirect: 'error',
      signal: AbortSignal.any([signal, AbortSignal.timeout(question.timeoutMs)]),
    })
    status = answer.status
    retryAfterMs = secondsOf(answer.headers.get('retry-after'))
    text = await readText(answer)
  } catch (cause) {
    signal.throwIfAborted()
    throw new ModelError('later', `${host} could not be asked: ${reasonOf(cause)}.`, { cause })
  }
  if (status !== 200) throw refusalOf(host, status, { text, retryAfterMs })
  const parsed = question.reply.safeParse(jsonOf(text))
  if (!parsed.success) throw new ModelError('setup', `${host} answered something else than was asked for.`)
  return parsed.data
}

export const bearer = (key: string | undefined): Record<string, string> =>
  key === undefined ? {} : { authorization: `Bearer ${key}` }

async function readText(answer: Response): Promise<string> {
  const parts: Uint8Array[] = []
  let size = 0
  for await (const part of answer.body ?? []) {
    size += part.byteLength
    if (size > ANSWER_BYTES_MAX) throw new Error(`an answer of more than ${ANSWER_BYTES_MAX} bytes`)
    parts.push(part)
  }
  return Buffer.concat(parts).toString('utf8')
}

function refusalOf(
  host: string,
  status: number,
  { text, retryAfterMs }: { text: string; retryAfterMs: number | undefined },
): ModelError {
  const why = `${host} answered ${status}${said(text)}.`
  if (status === 408 || status === 429 || status >= 500)
    return new ModelError('later', why, retryAfterMs === undefined ? {} : { retryAfterMs })
  return new ModelError(status === 400 || status === 413 || status === 422 ? 'input' : 'setup', why)
}

/** What services say of an error, in all their forms: `{error: "…"}`, `{error: {message}}`, `{message}`. */
function said(text: string): string {
  const answer = jsonOf(text)
  const error = fieldOf(answer, 'error') ?? answer
  const message = typeof error === 'string' ? error : fieldOf(error, 'message')
  if (typeof message !== 'string') return ''
  // oxlint-disable-next-line no-control-regex -- what others say goes to terminals
  return ` (${message.replace(/[\u0000-\u001f\u007f-\u009f]+/g, ' ').slice(0, MESSAGE_CHARS_MAX)})`
}

const fieldOf = (value: unknown, name: string): unknown =>
  typeof value === 'object' && value !== null && name in value ? (value as Record<string, unknown>)[name] : undefined

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

const secondsOf = (header: string | null): number | undefined =>
  header !== null && /^[0-9]{1,5}$/.test(header) ? Number(header) * 1000 : undefined

function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  if (error.name === 'TimeoutError') return 'no answer in time'
  return error.cause instanceof Error && error.cause.message !== '' ? error.cause.message : error.message
}

/** @throws ModelError that says what to do about the file */
async function readKey(path: string): Promise<string> {
  let file
  try {
    file = await open(path, 'r')
  } catch (cause) {
    throw new ModelError('setup', `The key file ${path} cannot be read.`, { cause })
  }
  try {
    const { mode, uid, size } = await file.stat()
    if ((mode & 0o077) !== 0 || (process.getuid !== undefined && uid !== process.getuid()))
      throw new ModelError('setup', `Others may read the key file ${path}. Run: chmod 600 '${path}'`)
    if (size > KEY_BYTES_MAX) throw new ModelError('setup', `${path} is too large to be a key.`)
    const key = (await file.readFile('utf8')).trim()
    if (!/^[\u0021-\u007e]+$/.test(key)) throw new ModelError('setup', `${path} holds no key, or more than a key.`)
    return key
  } finally {
    await file.close()
  }
}
