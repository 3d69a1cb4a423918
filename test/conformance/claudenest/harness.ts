import { afterAll, beforeAll, expect, it } from 'vitest'
import { claudenestRoutes } from '../../../gateway/dialects/claudenest/routes.ts'
import { WIRE_ERRORS } from '../../../gateway/dialects/claudenest/errors.ts'
import {
  startGatewayLab,
  type Answer,
  type CallOptions,
  type GatewayLab,
  type Json,
} from '../../support/gateway-lab.ts'
import { cite, type Requirement } from './requirements.ts'

let lab: GatewayLab
export const tested = new Set<Requirement>()

/** One gateway for the whole suite. */
export function useLab(): void {
  beforeAll(async () => {
    lab = await startGatewayLab()
  })
  afterAll(() => lab.stop())
}

export const theLab = (): GatewayLab => lab

/** A test that meets one requirement of the document. */
export function meets(route: string, says: string, run: () => Promise<void>): void {
  const requirement = cite(route, says)
  tested.add(requirement)
  // oxlint-disable-next-line vitest/expect-expect -- what it expects is in `run`
  it(`[${requirement.section}] ${route} ${says}`, run)
}

/** Calls the gateway and holds every answer against the table's own reply schema and the document's envelopes. */
export async function call(method: string, path: string, options: CallOptions = {}): Promise<Answer> {
  const answer = await lab.call(method, path, options)
  const route = routeOf(method, path.split('?')[0] ?? '')
  if (answer.status < 400) {
    const paged = answer.json.meta.pagination === undefined ? {} : { pagination: expect.any(Object) }
    expect(answer.json).toEqual({ success: true, data: answer.json.data, meta: { ...META, ...paged } })
    expect(answer.status).toBe(route?.status ?? 200)
    route?.reply.parse(answer.json.data)
  } else {
    const { code, message } = answer.json.error
    expect(answer.json).toEqual({ success: false, error: expect.objectContaining({ code, message }), meta: META })
    expect(Object.values(WIRE_ERRORS)).toContainEqual({ code, status: answer.status })
  }
  return answer
}

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

const META = {
  timestamp: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/),
  request_id: expect.stringMatching(/^req_/),
}

function routeOf(method: string, path: string) {
  const segments = path.split('/')
  const fits = (pattern: string): boolean => {
    const parts = pattern.split('/')
    return parts.length === segments.length && parts.every((part, i) => part.startsWith(':') || part === segments[i])
  }
  return claudenestRoutes.find((route) => route.method === method && fits(route.path))
}

export const UNKNOWN = '00000000-0000-4000-8000-000000000000'

let nameless = 0
export const fresh = (prefix: string): string => `${prefix}-${++nameless}`

export const self = (): string => lab.services.machines.self

export async function newProject(): Promise<string> {
  const made = await data('POST', `/api/machines/${self()}/projects`, {
    body: { name: fresh('project'), project_path: await folder() },
  })
  return made.id
}

/** A folder that exists on the machine under test and is no project yet. */
export async function folder(): Promise<string> {
  const { mkdtemp, rm } = await import('node:fs/promises')
  const { tmpdir } = await import('node:os')
  const path = await mkdtemp(`${tmpdir()}/rk-project-`)
  cleanUp.push(() => rm(path, { recursive: true }))
  return path
}

const cleanUp: (() => Promise<void>)[] = []
export const removeFolders = async (): Promise<void> => {
  for (const remove of cleanUp.splice(0)) await remove()
}

export async function newTask(project: string, more: object = {}): Promise<Json> {
  return await data('POST', `/api/projects/${project}/tasks`, { body: { title: fresh('task'), ...more } })
}
