import { text } from 'node:stream/consumers'
import { InvalidArgumentError, Option, type Command } from 'commander'
import { CHUNK_TYPES, IMPORTANCE_DEFAULT, type ContextChunk } from '../../../crdt/context-chunk.ts'
import type { ContextAnswer, ProjectContext } from '../../services/context/context-service.ts'
import { ask, command, group, parseDuration, parseWhole, print, table, type CommonOptions } from '../command.ts'
import { projectOf, type ProjectOption } from '../project-of.ts'
import { wireAnswer, wireChunk, wireContext } from '../wire.ts'
import { actingAs, collect, instanceFlag, PROJECT_FLAG, type InstanceOption } from './work-flags.ts'

/** What everybody who works on a project should know. */
export function contextCommand(): Command {
  const context = group('context', 'add to, search and show what everybody who works on a project should know')
  for (const sub of [contextAdd(), contextSearch(), contextShow(), contextRm()]) context.addCommand(sub)
  return context
}

const typeOption = (description: string): Option => new Option('--type <type>', description).choices(CHUNK_TYPES)

type AddOptions = { type: string; file: string[]; importance: number; task?: string; expiresIn?: number }

function contextAdd(): Command {
  return command('add', 'add a chunk, for every machine to find')
    .argument('<text>', 'what is to be known; - reads it from standard input')
    .option(...PROJECT_FLAG)
    .option(...instanceFlag)
    .addOption(typeOption('what it is').default('context_update'))
    .option('--file <path>', 'a file it is about (may be repeated)', collect, [])
    .option('--importance <number>', 'from 0 to 1: what is shown first', parseShare, IMPORTANCE_DEFAULT)
    .option('--task <id>', 'the task it belongs to')
    .option('--expires-in <duration>', 'when it is of no use any more, like 12h or 30d', parseDuration)
    .action(async (said: string, options: CommonOptions & ProjectOption & InstanceOption & AddOptions) => {
      const { id: project } = await projectOf(options)
      const { type, file, importance, task, expiresIn } = options
      const chunk = {
        content: said === '-' ? await text(process.stdin) : said,
        type,
        files: file,
        importance_score: importance,
        ...(task === undefined ? {} : { task_id: task }),
        ...(expiresIn === undefined ? {} : { expires_at: new Date(Date.now() + expiresIn).toISOString() }),
      }
      const added = await ask<ContextChunk>(options, 'context.add', { project, chunk, ...actingAs(options) })
      print(options, wireChunk(added), () => [added.id])
    })
}

type SearchOptions = { limit: number; minSimilarity: number; type: string[]; file: string[] }

function contextSearch(): Command {
  return command('search', 'find chunks, by words and, with an embedder, by what they mean')
    .argument('<query...>')
    .option(...PROJECT_FLAG)
    .option('--limit <number>', 'how many at most', parseWhole, 10)
    .option('--min-similarity <number>', 'from 0 to 1: leave out what is less alike', parseShare, 0)
    .addOption(typeOption('only of this type (may be repeated)').argParser(collect).default([]))
    .option('--file <path>', 'only about this file (may be repeated)', collect, [])
    .action(async (words: string[], options: CommonOptions & ProjectOption & SearchOptions) => {
      const { id: project } = await projectOf(options)
      const { limit, minSimilarity, type, file } = options
      const query = words.join(' ')
      const answer = await ask<ContextAnswer>(options, 'context.search', {
        project,
        query,
        limit,
        min_similarity: minSimilarity,
        ...(type.length === 0 ? {} : { types: type }),
        ...(file.length === 0 ? {} : { files: file }),
      })
      print(options, wireAnswer(query, answer), () => linesOf(answer))
    })
}

function linesOf({ results, degraded }: ContextAnswer): string[] {
  const rows = results.map(({ chunk, similarity }) => [
    similarity.toFixed(2),
    chunk.type,
    firstLine(chunk.content),
    chunk.id,
  ])
  return [
    ...(results.length === 0 ? ['Nothing found.'] : table([['ALIKE', 'TYPE', 'TEXT', 'ID'], ...rows])),
    ...(degraded === null ? [] : [`Words were compared, not what they mean: ${degraded}`]),
  ]
}

const TEXT_CHARS = 72
function firstLine(content: string): string {
  const line = content.split('\n', 1)[0] ?? ''
  return line.length > TEXT_CHARS ? `${line.slice(0, TEXT_CHARS - 1)}…` : line
}

function contextShow(): Command {
  return command('show', 'print the context as agents get it: the brief, then chunks, most important first')
    .option(...PROJECT_FLAG)
    .action(async (options: CommonOptions & ProjectOption) => {
      const { id: project } = await projectOf(options)
      const context = await ask<ProjectContext>(options, 'context.show', { project })
      const { usage, index, compiled } = context
      print(options, wireContext(context), () => [
        ...(compiled === '' ? [] : [compiled, '']),
        `About ${usage.total} of ${usage.max} tokens; ${index.chunks} chunks, ${index.withVector} with a vector.`,
        ...(index.problem === null ? [] : [`Search compares words only: ${index.problem}`]),
      ])
    })
}

function contextRm(): Command {
  return command('rm', 'take a chunk out, for every machine')
    .argument('<id>')
    .option(...PROJECT_FLAG)
    .action(async (id: string, options: CommonOptions & ProjectOption) => {
      const { id: project } = await projectOf(options)
      await ask<null>(options, 'context.remove', { project, id })
      print(options, null, () => ['The chunk is gone.'])
    })
}

function parseShare(said: string): number {
  const share = Number(said)
  if (said.trim() === '' || !(share >= 0 && share <= 1))
    throw new InvalidArgumentError('Give a number from 0 to 1, like 0.7.')
  return share
}
