import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Context } from './benchmark.ts'
import { startChild, type Child } from './calls.ts'
import type { MeshMemberCalls } from './peers/mesh-member.ts'

export type Member = Child<MeshMemberCalls>

/** A directory that is gone afterwards. */
export async function scratchDirectory(context: Context): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'rookery-bench-'))
  context.defer(() => rm(path, { recursive: true, force: true }))
  return path
}

/** A node in a process of its own that founds a mesh on an empty directory. */
export async function startMember(context: Context, directory: string): Promise<Member> {
  await mkdir(directory, { recursive: true, mode: 0o700 })
  return await startChild<MeshMemberCalls>(context, 'mesh-member', [directory])
}

/** Nodes that are members of one mesh and connected to each other; the first is the voter, and has a project. */
export async function startMesh(
  context: Context,
  size: number,
): Promise<{ members: [Member, Member, ...Member[]]; project: string; path: string }> {
  const path = await scratchDirectory(context)
  const first = await startMember(context, join(path, 'node-1'))
  const second = await joinedMember(context, first, join(path, 'node-2'))
  const members: [Member, Member, ...Member[]] = [first, second]
  while (members.length < size)
    members.push(await joinedMember(context, first, join(path, `node-${members.length + 1}`)))
  const peers = await Promise.all(members.map((member) => member.call('peer')))
  for (const member of members) await until(() => member.call('isConnectedTo', peers))
  const folder = join(path, 'work')
  await mkdir(folder)
  return { members, project: await first.call('addProject', folder), path }
}

/** Lets all of them vote and resolves when they know it. */
export async function letAllVote(members: readonly [Member, ...Member[]]): Promise<void> {
  const peers = await Promise.all(members.map((member) => member.call('peer')))
  const epoch = await members[0].call('letVote', peers)
  for (const member of members) await until(async () => (await member.call('epoch')) === epoch)
}

async function joinedMember(context: Context, inviter: Member, directory: string): Promise<Member> {
  const member = await startMember(context, directory)
  await member.call('join', await inviter.call('ticket'))
  return member
}

export async function until(isSo: () => Promise<boolean>): Promise<void> {
  while (!(await isSo())) await new Promise((resolve) => setTimeout(resolve, 10))
}
