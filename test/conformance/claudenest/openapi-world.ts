import { mkdtemp } from 'node:fs/promises'
import { join } from 'node:path'
import type { GatewayLab, Json } from '../../support/gateway-lab.ts'
import { segmentOf, type Caller, type Param } from './openapi-values.ts'

type Route = { readonly method: string; readonly path: string }

/** Things that requests can be about; what a request takes away is made anew for the next. */
export type World = {
  /** The path with its parameters filled in. */
  pathOf(route: Route, params: Readonly<Record<string, Param>>): Promise<string>
  tokenOf(route: Route, caller: Caller): Promise<string | null>
}

const UNKNOWN = '00000000-0000-4000-8000-000000000000'

const LOCK = { path: 'src/auth.php', instance_id: 'instance_1' }

export async function prepareWorld(lab: GatewayLab): Promise<World> {
  const made = async (path: string, body: object): Promise<Json> => (await lab.call('POST', path, { body })).json.data
  const machine = lab.services.machines.self
  const newFolder = () => mkdtemp(join(lab.dataDir, 'project-'))
  const newProject = async () =>
    (await made(`/api/machines/${machine}/projects`, { project_path: await newFolder() })).id
  const project = await newProject()
  const newSession = async () => (await made(`/api/machines/${machine}/sessions`, { agent: 'shell' })).id
  const session = await newSession()
  const newCommand = async () =>
    (await made(`/api/machines/${machine}/commands`, { name: 'nothing', command: 'true' })).id
  const newExecution = async () =>
    (await made(`/api/machines/${machine}/commands/${await newCommand()}/execute`, {})).id
  const narrow = await lab.tokenWith(['user:read'])

  /** What a call to the route may be about. */
  async function thingOf({ method, path }: Route): Promise<string> {
    const isGone = method === 'DELETE'
    switch (path.split('/')[2] ?? '') {
      case 'executions':
        return await newExecution()
      case 'machines':
        if (path.includes('/commands/:id')) return await newCommand()
        // The machine itself is not for a test to rename or remove.
        return method === 'GET' ? machine : (await made('/api/machines', { name: 'bridged' })).machine.id
      case 'projects':
        return isGone ? await newProject() : project
      case 'sessions':
        return isGone ? await newSession() : session
      case 'pairing':
        return await newPairing()
      case 'auth':
        return (await lab.tokenWith(['user:read'])).id
      case 'tasks':
        return await newTask(/(?:release|complete)$/.test(path))
      default:
        return UNKNOWN
    }
  }
  /** A code that waits, unless too many do. */
  async function newPairing(): Promise<string> {
    const { json } = await lab.call('POST', '/api/pairing/initiate', {
      token: null,
      body: { agent_info: { hostname: 'dev-box' } },
    })
    return json.data?.code ?? 'ABC-234'
  }
  async function newTask(isClaimed: boolean): Promise<string> {
    const { id } = await made(`/api/projects/${project}/tasks`, { title: 'x' })
    if (isClaimed) await made(`/api/tasks/${id}/claim`, { instance_id: 'instance_1' })
    return id
  }
  const server = (await made(`/api/machines/${machine}/mcp`, { name: 'server', command: 'node' })).name
  const { machine: away } = await made('/api/machines', { name: 'away' })
  const namedIn = ({ method, path }: Route): Readonly<Record<string, string>> => {
    if (!path.includes('/mcp')) return { machine, project }
    // What chance writes into a command must not run.
    return { machine: method === 'GET' ? machine : away.id, name: server }
  }
  const newSkill = async () => (await made(`/api/machines/${machine}/skills`, { path: 'known', content: '# x' })).path

  return {
    async pathOf(route, params) {
      let { path } = route
      // Whether it is held already does not matter.
      if (/\/locks\/(?:extend|release|force)/.test(path))
        await lab.call('POST', `/api/projects/${project}/locks`, { body: LOCK })
      for (const [name, param] of Object.entries(params)) {
        const isSkill = name === 'path' && route.path.includes('/skills/')
        const known = async () => (isSkill ? await newSkill() : (namedIn(route)[name] ?? (await thingOf(route))))
        const value = param === 'known' ? await known() : param === 'unknown' ? UNKNOWN : param.text
        path = path.replace(`:${name}`, () => segmentOf(value))
      }
      return path
    },
    async tokenOf({ path }, caller) {
      if (caller === 'nobody') return null
      if (caller === 'stranger') return 'cn_no-such-token'
      if (caller === 'narrow') return narrow.token
      return path.endsWith('/logout') ? (await lab.tokenWith(['user:read'])).token : lab.token
    },
  }
}
