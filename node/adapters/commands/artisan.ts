import type { CommandArgument } from '../../../crdt/command.ts'
import { isName, type Entry } from './entry.ts'

/** What every Laravel application has. Only artisan itself knows the rest, and to ask it would run the application. */
const STANDARD: readonly (readonly [name: string, description: string, options?: readonly string[]])[] = [
  ['about', 'Display basic information about the application'],
  ['cache:clear', 'Flush the application cache'],
  ['config:cache', 'Create a cache file for faster configuration loading'],
  ['config:clear', 'Remove the configuration cache file'],
  ['db:seed', 'Seed the database with records', ['--force', '--class=']],
  ['db:wipe', 'Drop all tables, views, and types', ['--force', '--drop-views']],
  ['event:clear', 'Clear all cached events and listeners'],
  ['migrate', 'Run database migrations', ['--force', '--seed', '--step', '--pretend']],
  ['migrate:fresh', 'Drop all tables and re-run all migrations', ['--force', '--seed']],
  ['migrate:refresh', 'Reset and re-run all migrations', ['--force', '--seed', '--step=']],
  ['migrate:reset', 'Rollback all database migrations', ['--force', '--pretend']],
  ['migrate:rollback', 'Rollback the last database migration', ['--force', '--step=', '--pretend']],
  ['migrate:status', 'Show the status of each migration', ['--pending']],
  ['optimize', 'Cache framework bootstrap, configuration, and metadata'],
  ['optimize:clear', 'Remove the cached bootstrap files'],
  ['queue:restart', 'Restart queue worker daemons after their current job'],
  [
    'queue:work',
    'Start processing jobs on the queue as a daemon',
    ['--once', '--stop-when-empty', '--queue=', '--tries='],
  ],
  ['route:cache', 'Create a route cache file for faster route registration'],
  ['route:clear', 'Remove the route cache file'],
  ['route:list', 'List all registered routes', ['--json', '--except-vendor']],
  ['schedule:list', 'List all scheduled tasks'],
  ['schedule:run', 'Run the scheduled commands'],
  ['storage:link', 'Create the symbolic links configured for the application', ['--force']],
  ['view:cache', "Compile all of the application's Blade templates"],
  ['view:clear', 'Clear all compiled view files'],
]

export const standardArtisan = (): Entry[] =>
  STANDARD.map(([name, description, options = []]) => ({
    type: 'artisan',
    words: ['php', 'artisan', name],
    description,
    meaning: 'laravel',
    options,
  }))

const SIGNATURE = /\$signature\s*=\s*(?:'((?:[^'\\]|\\.)*)'|"((?:[^"\\$]|\\.)*)")/
const DESCRIPTION = /\$description\s*=\s*(?:'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)")/

/** A command of the application, as far as its class says so in plain text: name, arguments, options. */
export function artisanCommand(text: string): Entry | undefined {
  const signature = literal(SIGNATURE.exec(text))
  const [name] = signature.trim().split(/\s+/)
  if (name === undefined || !isName(name) || !/^[\w:.-]+$/.test(name)) return undefined
  const parts = [...signature.matchAll(/\{\s*([^}]*?)\s*\}/g)].map(([, part = '']) => part)
  return {
    type: 'artisan',
    words: ['php', 'artisan', name],
    description: literal(DESCRIPTION.exec(text)),
    // All of the class: its name alone says nothing about what it does.
    meaning: text,
    options: parts.filter((part) => part.startsWith('-')).map(optionOf),
    arguments: parts.filter((part) => !part.startsWith('-')).map(argumentOf),
  }
}

const literal = (match: RegExpExecArray | null): string => (match?.[1] ?? match?.[2] ?? '').replace(/\\(['"\\])/g, '$1')

/** `--queue=default : What it is for` or `--Q|queue`. */
function optionOf(part: string): string {
  const [option = ''] = part.split(/\s+:/)
  const [name = '', value] = option.trim().split('=', 2)
  const long = name.includes('|') ? `--${name.split('|').at(-1)}` : name
  return value === undefined ? long : `${long}=`
}

/** `user`, `user?`, `user*`, `user=default : Who it is for`. */
function argumentOf(part: string): CommandArgument {
  const [argument = '', description = ''] = part.split(/\s+:\s*/)
  const [name = ''] = argument.trim().split('=')
  return {
    name: name.replace(/[?*]+$/, '').slice(0, 64) || 'argument',
    description: description.slice(0, 200),
    required: !/[?=]/.test(argument),
    variadic: name.includes('*'),
  }
}
