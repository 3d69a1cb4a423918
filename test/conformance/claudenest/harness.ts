import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { z } from 'zod'
import { WIRE_ERRORS } from '../../../gateway/dialects/claudenest/errors.ts'
import { openApi } from '../../../gateway/http/openapi.ts'
import { claudenestRoutes } from '../../../gateway/dialects/claudenest/routes.ts'
import {
  startGatewayLab,
  type Answer,
  type CallOptions,
  type GatewayLab,
  type Json,
} from '../../support/gateway-lab.ts'
import { startSignInLab, type SignInLab } from '../../support/sign-in-lab.ts'
import { DOCUMENTED_ERRORS } from './document/errors.ts'
import { missingFields, nameOf, text, time } from './document/row.ts'
import type { RestRow } from './document/row.ts'
import { BEYOND, DOCUMENTED } from './document/table.ts'

/** Which gateway the suite asks: that of the machine it works with, or the other one of the mesh. */
export type Asked = 'its own gateway' | 'another gateway'

let owner: GatewayLab
let other: GatewayLab
let asked: SignInLab

/**
 * One mesh of two nodes, each with a gateway, for the whole suite. All work is done on the first node's machine; what is
 * needed to sign in has the gateway that is asked.
 */
export function useLab(which: Asked): void {
  beforeAll(async () => {
    await installAgent()
    if (which === 'its own gateway') {
      owner = asked = await startSignInLab()
      other = await startGatewayLab({}, { besides: owner })
    } else {
      owner = await startGatewayLab()
      other = asked = await startSignInLab({ besides: owner })
    }
  })
  afterAll(async () => {
    await other.stop()
    await owner.stop()
    await removeFolders()
  })
}

/** The gateway that is asked. */
export const theLab = (): SignInLab => asked

/** Both gateways of the mesh, that of the machine first. */
export const labs = (): readonly [GatewayLab, GatewayLab] => [owner, other]

/** The machine that all work is done on. */
export const self = (): string => owner.services.machines.self

export const otherMachine = (): string => other.services.machines.self

/** Requirements that a test stands for: `GET /api/health: example`. */
export const tested = new Set<string>()
/** Documented codes that an answer has carried. */
export const answeredCodes = new Set<string>()

export const ROWS: readonly RestRow[] = [...DOCUMENTED, ...BEYOND]

/** Everything that a row asks for. */
export const requirementsOf = (row: RestRow): string[] =>
  ['example', ...row.errors, ...row.says].map((what) => `${nameOf(row)}: ${what}`)

function cite(route: string, what: string): RestRow {
  const row = ROWS.find((one) => nameOf(one) === route)
  if (row === undefined) throw new Error(`No row is called ${route}`)
  if (row.unbuilt !== undefined) throw new Error(`${route} has tests: its row must not say that it is unbuilt`)
  if (!requirementsOf(row).includes(`${route}: ${what}`)) throw new Error(`The row ${route} does not say: ${what}`)
  tested.add(`${route}: ${what}`)
  return row
}

/** What an example needs beyond what is printed. */
export type Sending = {
  /** Values of the path's parameters. */
  readonly params?: Readonly<Record<string, string>>
  readonly query?: string
  /** Replaces what cannot be as printed: ids, secrets, folders of this machine. */
  readonly body?: Readonly<Record<string, unknown>>
  readonly token?: string | null
  readonly headers?: Readonly<Record<string, string>>
  /** For what is done on the machine itself only; otherwise the gateway that is asked. */
  readonly gateway?: GatewayLab
}

/** Why a requirement is known not to be met. */
type NotYet = string | undefined

type Prepare = () => Promise<Sending> | Sending

/** The example of the document, sent as printed, gets all that is documented back. */
export function example(route: string, prepare: Prepare, check: (data: Json) => void = () => undefined): void {
  const row = cite(route, 'example')
  it(`[${row.section}] ${route} answers the example as documented`, async () => {
    const { status, json } = await send(row, await prepare())
    expect([status, json.error]).toEqual([row.status, undefined])
    expect(missingFields(json.data, row.reply)).toEqual([])
    check(json.data)
  })
}

/** The route refuses with a documented code and its status. */
export function refuses(route: string, code: string, prepare: Prepare, notYet?: NotYet): void {
  const row = cite(route, code)
  const run = async (): Promise<void> => {
    const { status, json } = await send(row, await prepare())
    expect([status, json.error?.code]).toEqual([DOCUMENTED_ERRORS[code], code])
  }
  test(row, `${route} answers ${DOCUMENTED_ERRORS[code]} ${code}`, { notYet, run })
}

/** The same where it takes more than a request to this gateway. */
export function refusesElsewhere(route: string, code: string, ask: () => Promise<Answer>): void {
  const row = cite(route, code)
  const run = async (): Promise<void> => {
    const { status, json } = holdAgainstDocument(await ask(), row.method, row.path)
    expect([status, json.error?.code]).toEqual([DOCUMENTED_ERRORS[code], code])
  }
  test(row, `${route} answers ${DOCUMENTED_ERRORS[code]} ${code}`, { notYet: undefined, run })
}

/** A test of what else the row says. */
export function meets(route: string, says: string, run: () => Promise<void>, notYet?: NotYet): void {
  test(cite(route, says), `${route} ${says}`, { notYet, run })
}

/** A requirement that this suite has no means for; the named test must mention the route. */
export function metElsewhere(route: string, what: string, file: string): void {
  const row = cite(route, what)
  it(`[${row.section}] ${route} ${what}: see ${file}`, async () => {
    const lastWord = row.path.split('/').at(-1) ?? ''
    expect(await readFile(file, 'utf8')).toContain(`/${lastWord}`)
  })
}

/** While the reason stands the test has to fail; it turns red as soon as it passes. */
function test({ section }: RestRow, name: string, { notYet, run }: { notYet: NotYet; run: () => Promise<void> }): void {
  const fails = notYet !== undefined
  // oxlint-disable-next-line vitest/expect-expect -- what it expects is in `run`
  it(`[${section}] ${name}${fails ? ` (not yet: ${notYet})` : ''}`, { fails }, run)
}

async function send(
  row: RestRow,
  { params = {}, query = '', body = {}, token, headers = {}, gateway }: Sending,
): Promise<Answer> {
  const path = row.path.replace(/:(\w+)/g, (_, name: string) => encodeURIComponent(params[name] ?? UNKNOWN))
  const withBody = row.body === undefined && Object.keys(body).length === 0 ? {} : { body: { ...row.body, ...body } }
  const caller = row.needsToken ? (token === undefined ? {} : { token }) : { token: token ?? null }
  return await call(row.method, `${path}${query}`, { ...withBody, ...caller, headers }, gateway)
}

const Meta = z.looseObject({ timestamp: time, request_id: text })
const Pagination = z.strictObject({
  current_page: z.int().min(1),
  last_page: z.int().min(1),
  per_page: z.int().min(1),
  total: z.int().min(0),
})
const Success = z.strictObject({
  success: z.literal(true),
  data: z.unknown(),
  meta: Meta.extend({ pagination: Pagination.optional() }),
})
const Failure = z.strictObject({
  success: z.literal(false),
  error: z.looseObject({ code: text, message: text.min(1) }),
  meta: Meta,
})

/** Calls the gateway that is asked. */
export async function call(
  method: string,
  path: string,
  options: CallOptions = {},
  gateway: GatewayLab = asked,
): Promise<Answer> {
  return holdAgainstDocument(await gateway.call(method, path, options), method, path)
}

/** Every answer must be as the document says, and as the table of routes says of itself. */
export function holdAgainstDocument(answer: Answer, method: string, path: string): Answer {
  const bare = path.split('?')[0] ?? ''
  if (answer.status < 400) {
    const { data } = Success.parse(answer.json)
    const route = rowAt(claudenestRoutes, method, bare)
    const isPending = answer.status === 202
    for (const table of [rowAt(ROWS, method, bare), route]) (isPending ? table?.pending : table?.reply)?.parse(data)
    expect(answer.status).toBe(isPending && route?.pending ? 202 : (route?.status ?? 200))
  } else {
    const { code } = Failure.parse(answer.json).error
    expect(Object.values(WIRE_ERRORS)).toContainEqual({ code, status: answer.status })
    const route = rowAt(claudenestRoutes, method, bare)
    if (route) expect(errorsOf(route)).toContain(`${answer.status} ${code}`)
    if (DOCUMENTED_ERRORS[code] === answer.status) answeredCodes.add(code)
  }
  return answer
}

/** What the OpenAPI document says a route may be refused with: `409 TSK_002`. */
function errorsOf({ method, path }: { method: string; path: string }): string[] {
  const operation = OPENAPI.paths[path.replace(/:(\w+)/g, '{$1}')]?.[method.toLowerCase()]
  return Object.entries<Json>(operation.responses).flatMap(([status, { $ref }]) => {
    const response = OPENAPI.components.responses[String($ref).split('/').at(-1) ?? '']
    const codes = response?.content['application/json'].schema.properties.error.properties.code.enum ?? []
    return codes.map((code: string) => `${status} ${code}`)
  })
}

const OPENAPI: Json = openApi({ title: 'ClaudeNest', version: '1' }, claudenestRoutes, WIRE_ERRORS)

/** As `call`, when only the data matter; fails on anything but success. */
export async function data(method: string, path: string, options: CallOptions = {}): Promise<Json> {
  const { json } = await call(method, path, options)
  expect(json).toMatchObject({ success: true })
  return json.data
}

/** The status and code of a refusal. */
export async function refusal(method: string, path: string, options: CallOptions = {}): Promise<[number, string]> {
  const { status, json } = await call(method, path, options)
  return [status, json.error?.code]
}

/** The row whose path fits best: the one with the fewest parameters. */
function rowAt<R extends { readonly method: string; readonly path: string }>(
  rows: readonly R[],
  method: string,
  path: string,
): R | undefined {
  const segments = path.split('/')
  const fits = (pattern: string): boolean => {
    const parts = pattern.split('/')
    return parts.length === segments.length && parts.every((part, i) => part.startsWith(':') || part === segments[i])
  }
  const parameters = (row: R): number => row.path.split('/:').length
  return rows
    .filter((row) => row.method === method && fits(row.path))
    .toSorted((a, b) => parameters(a) - parameters(b))[0]
}

export const UNKNOWN = '00000000-0000-4000-8000-000000000000'

let nameless = 0
export const fresh = (prefix: string): string => `${prefix}-${++nameless}`

export async function newProject(): Promise<string> {
  const made = await data('POST', `/api/machines/${self()}/projects`, {
    body: { name: fresh('project'), project_path: await folder() },
  })
  return made.id
}

/** A folder that exists on the machine under test and is no project yet. */
export async function folder(): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'rk-project-'))
  cleanUp.push(() => rm(path, { recursive: true }))
  return path
}

const cleanUp: (() => Promise<void>)[] = []
const removeFolders = async (): Promise<void> => {
  for (const remove of cleanUp.splice(0)) await remove()
}

/** The sessions of the document run an agent: here one that repeats what it is told, and has one summary. */
async function installAgent(): Promise<void> {
  const bin = await folder()
  const summary = '{"is_error":false,"result":"AI-generated summary","usage":{"input_tokens":1480,"output_tokens":20}}'
  const used = '{"inputTokens":14000,"outputTokens":1000}'
  const result = `{"type":"result","total_cost_usd":0.45,"modelUsage":{"m":${used}}}`
  const script = `case "$*" in
*"--output-format json"*) cat > /dev/null; echo '${summary}';;
*"--input-format stream-json"*) while read -r line; do echo "$line"; echo '${result}'; done;;
*"--output-format stream-json"*) cat; echo; echo '${result}';;
*) exec cat;;
esac`
  await writeFile(join(bin, 'claude'), `#!/bin/sh\n${script}\n`, { mode: 0o700 })
  process.env['PATH'] = `${bin}:${process.env['PATH']}`
}

export async function newTask(project: string, more: object = {}): Promise<Json> {
  return await data('POST', `/api/projects/${project}/tasks`, { body: { title: fresh('task'), ...more } })
}
