import type { Command } from 'commander'
import type { User } from '../../../crdt/user.ts'
import { ask, command, group, print, table, type CommonOptions } from '../command.ts'

/** People with an account on the mesh's gateways. */
export function userCommand(): Command {
  const user = group('user', 'manage the people who may sign in')
  user.addCommand(add())
  user.addCommand(list())
  user.addCommand(invite())
  user.addCommand(links())
  user.addCommand(disable())
  user.addCommand(resetPassword())
  return user
}

type RoleOption = { readonly owner?: boolean }
const roleOf = (options: RoleOption): 'owner' | 'member' => (options.owner ? 'owner' : 'member')

function add(): Command {
  return command('add', 'add a person; they choose a password with the invitation code that is printed')
    .argument('<email>')
    .argument('<name>')
    .option('--owner', 'may administer users, machines and locks')
    .action(async (email: string, name: string, options: CommonOptions & RoleOption) => {
      const added = await ask<{ user: User; inviteCode?: string }>(options, 'user.add', {
        email,
        name,
        role: roleOf(options),
      })
      print(options, { user: wireUser(added.user), invite_code: added.inviteCode ?? null }, () => [
        `${added.user.name} <${added.user.email}> is added.`,
        ...(added.inviteCode === undefined ? [] : [`Invitation code (single use): ${added.inviteCode}`]),
      ])
    })
}

function list(): Command {
  return command('list', 'list everybody who has an account').action(async (options: CommonOptions) => {
    const users = await ask<User[]>(options, 'user.list')
    print(options, users.map(wireUser), () =>
      table([
        ['NAME', 'E-MAIL', 'ROLE', 'STATE', 'ID'],
        ...users.map((u) => [u.name, u.email, u.role, u.disabled ? 'disabled' : 'active', u.id]),
      ]),
    )
  })
}

function invite(): Command {
  return command('invite', 'print a single-use code that lets one person register')
    .argument('[email]', 'only for this address')
    .option('--owner', 'as an owner of the mesh')
    .action(async (email: string | undefined, options: CommonOptions & RoleOption) => {
      const made = await ask<{ inviteCode: string; expiresAt: string }>(options, 'user.invite', {
        ...(email === undefined ? {} : { email }),
        role: roleOf(options),
      })
      print(options, { invite_code: made.inviteCode, expires_at: made.expiresAt }, () => [
        made.inviteCode,
        `(good until ${made.expiresAt})`,
      ])
    })
}

type HeldMail = { readonly to: string; readonly subject: string; readonly text: string; readonly atMs: number }

function links(): Command {
  return command('links', 'print the mails that users asked for while no mail server is configured').action(
    async (options: CommonOptions) => {
      const mails = await ask<HeldMail[]>(options, 'user.links')
      const wire = mails.map(({ atMs, ...mail }) => ({ ...mail, at: new Date(atMs).toISOString() }))
      print(options, wire, () =>
        wire.length === 0
          ? ['None. They are kept for an hour, in the memory of the node.']
          : wire.flatMap(({ to, at, text }) => [`To ${to}, ${at}`, '', text]),
      )
    },
  )
}

function disable(): Command {
  return command('disable', 'shut a person out: all their tokens die at once')
    .argument('<user>', 'e-mail address or id')
    .action(async (user: string, options: CommonOptions) => {
      const disabled = await ask<User>(options, 'user.disable', { user })
      print(options, wireUser(disabled), () => [`${disabled.name} <${disabled.email}> is disabled.`])
    })
}

function resetPassword(): Command {
  return command('reset-password', 'give a person a fresh random password, shown once')
    .argument('<user>', 'e-mail address or id')
    .action(async (user: string, options: CommonOptions) => {
      const reset = await ask<{ user: User; password: string }>(options, 'user.resetPassword', { user })
      print(options, { user: wireUser(reset.user), password: reset.password }, () => [
        `New password of ${reset.user.email}: ${reset.password}`,
      ])
    })
}

const wireUser = (user: User): object => ({
  id: user.id,
  name: user.name,
  email: user.email,
  role: user.role,
  disabled: user.disabled,
  created_at: user.createdAt,
})
