import { describe, expect, it } from 'vitest'
import type { ContextChunk, FoundChunk } from '../../../../crdt/context-chunk.ts'
import { ModelError } from '../../../../node/ports/model-error.ts'
import type { Prompt, TextModel } from '../../../../node/ports/text-model.ts'
import { createGptTokenCounter } from '../../../../node/adapters/gpt-tokens.ts'
import { queryWords, withParts } from '../../../../node/adapters/query-words.ts'
import { DEFAULT_PROJECT_SETTINGS } from '../../../../crdt/project.ts'
import { fuse } from '../../../../node/services/context/fusion.ts'
import { CONTEXT_PROJECT, createContextNode, valueOf, type ContextNode } from '../../../support/context-lab.ts'
import { createMembership } from '../../../support/replicas.ts'

const tokens = createGptTokenCounter()
const settings = (maxContextTokens: number) => ({ settings: { ...DEFAULT_PROJECT_SETTINGS, maxContextTokens } })
const start = (options: Parameters<typeof createContextNode>[2]): Promise<ContextNode> =>
  createContextNode(0, createMembership(1), options)
const view = async (a: ContextNode) => valueOf(await a.context.get(CONTEXT_PROJECT))

describe('the compiled context', () => {
  it('has the brief, then the chunks, most important first, joined as documented', async () => {
    const a = await start({ project: { summary: 'A shop', conventions: 'Tabs', currentFocus: '  ' } })
    await a.add('not so much', { importance_score: 0.2 })
    await a.add('JWT', { type: 'decision', importance_score: 0.9, files: ['a.ts', 'b.ts'] })
    const { compiled, usage } = await view(a)
    expect(compiled.split('\n\n---\n\n')).toEqual([
      '# Project Summary\nA shop',
      '# Conventions\nTabs',
      '# Decision (a.ts, b.ts)\nJWT',
      '# Context Update\nnot so much',
    ])
    const counted = await tokens.count(compiled)
    expect(Math.abs(usage.total - counted)).toBeLessThanOrEqual(4)
    expect([usage.max, usage.percent]).toEqual([8000, Math.round((1000 * usage.total) / 8000) / 10])
    await a.context.stop()
  })

  it('never takes more than the project allows: long ones are left out, shorter ones follow', async () => {
    const a = await start({ project: { summary: 'short', ...settings(300) } })
    await a.add(`first ${'long words '.repeat(500)}`, { importance_score: 1 })
    for (let i = 0; i < 20; i++) await a.add(`${i} ${'some words '.repeat(20)}`, { importance_score: 0.9 - i / 100 })
    const { compiled, usage } = await view(a)
    expect(await tokens.count(compiled)).toBeLessThanOrEqual(300)
    expect(usage.total).toBeGreaterThan(240)
    const numbers = compiled.match(/^\d+ some/gm)?.map((line) => parseInt(line, 10)) ?? []
    expect(numbers.length).toBeGreaterThan(2)
    expect(numbers).toEqual(numbers.toSorted((x, y) => x - y))
    expect([numbers[0], compiled.includes('first')]).toEqual([0, false])
    await a.context.stop()
  })

  it('cuts a brief that is too long', async () => {
    const brief = 'words of the brief '.repeat(700)
    const a = await start({ project: { summary: brief, architecture: brief, ...settings(256) } })
    const { compiled } = await view(a)
    expect(await tokens.count(compiled)).toBeLessThanOrEqual(256)
    expect([compiled.startsWith('# Project Summary\nwords'), compiled.endsWith('…')]).toEqual([true, true])
    await a.context.stop()
  })

  it('is changed with the brief', async () => {
    const a = await start({})
    const updated = valueOf(await a.context.update(a.actor, CONTEXT_PROJECT, { recentChanges: 'JWT' }))
    expect(updated.compiled).toBe('# Recent Changes\nJWT')
    await a.context.stop()
  })
})

describe('a summary', () => {
  const prompts: Prompt[] = []
  const model = (answer: () => string | Promise<string>, spent?: number): TextModel => ({
    name: 'm',
    async complete(prompt) {
      prompts.push(prompt)
      return { text: await answer(), tokens: spent }
    },
  })

  it('is made of the newest chunks, oldest first, and is itself a chunk', async () => {
    prompts.length = 0
    const a = await start({ model: model(() => ' JWT it is. ', 77) })
    for (let i = 0; i < 5; i++) {
      await a.add(`note ${i}`)
      await a.pass(1000)
    }
    const made = valueOf(await a.context.summarise(a.actor, CONTEXT_PROJECT))
    expect(made).toMatchObject({ summary: 'JWT it is.', chunksProcessed: 5, tokensUsed: 77, isEstimate: false })
    expect(made.chunk).toMatchObject({ type: 'summary', content: 'JWT it is.', createdBy: 'user 0' })
    expect(prompts[0]?.material.match(/note \d/g)).toEqual(['note 0', 'note 1', 'note 2', 'note 3', 'note 4'])
    expect(prompts[0]?.instruction).not.toContain('note 1')
    expect(await a.contents()).toContain('JWT it is.')
    await a.context.stop()
  })

  it('is made of what fits, with tokens that are counted where the model does not say', async () => {
    prompts.length = 0
    const a = await start({ model: model(() => 'short') })
    for (let i = 0; i < 8; i++) {
      await a.add(`note ${i} ${'long words '.repeat(2000)}`)
      await a.pass(1000)
    }
    const made = valueOf(await a.context.summarise(a.actor, CONTEXT_PROJECT))
    expect([made.chunksProcessed, prompts[0]?.material.match(/note \d/g)?.at(-1)]).toEqual([5, 'note 7'])
    expect([made.isEstimate, made.tokensUsed > 20_000, made.tokensUsed < 25_000]).toEqual([true, true, true])
    await a.context.stop()
  })

  it('is made once for all who ask meanwhile', async () => {
    prompts.length = 0
    const { promise, resolve } = Promise.withResolvers<string>()
    const a = await start({ model: model(() => promise) })
    await a.add('note')
    const both = [a.context.summarise(a.actor, CONTEXT_PROJECT), a.context.summarise(a.actor, CONTEXT_PROJECT)]
    await a.pass()
    resolve('once')
    const [one, two] = await Promise.all(both)
    expect([prompts.length, one]).toEqual([1, two])
    expect(await a.contents()).toHaveLength(2)
    await a.context.stop()
  })

  it('is not asked for where there is nothing to summarise', async () => {
    prompts.length = 0
    const a = await start({ model: model(() => 'x') })
    expect(valueOf(await a.context.summarise(a.actor, CONTEXT_PROJECT))).toMatchObject({ summary: '', chunk: null })
    expect(prompts).toEqual([])
    await a.context.stop()
  })

  it('fails with what to do when there is no model, or with what it said', async () => {
    const without = await start({})
    await without.add('note')
    expect(await without.context.summarise(without.actor, CONTEXT_PROJECT)).toMatchObject({
      error: { code: 'model_missing', message: expect.stringContaining('context.model') },
    })
    await without.context.stop()
    const failing = await start({
      model: model(() => Promise.reject(new ModelError('later', 'api.example.com answered 529.'))),
    })
    await failing.add('note')
    expect(await failing.context.summarise(failing.actor, CONTEXT_PROJECT)).toMatchObject({
      error: { code: 'model_failed', message: 'm gave no summary: api.example.com answered 529.' },
    })
    expect(await failing.contents()).toEqual(['note'])
    await failing.context.stop()
  })
})

describe('fusion', () => {
  const found = (id: string, similarity: number, importance = 0.5): FoundChunk => ({
    chunk: { id, importance } as unknown as ContextChunk,
    similarity,
  })
  const order = (lists: FoundChunk[][]) => fuse(lists).map(({ chunk }) => String(chunk.id))

  it('puts what several lists have before what one list has first', () => {
    const lists = [
      [found('a', 0.9), found('b', 0.8)],
      [found('c', 1), found('b', 0.5)],
    ]
    expect(order(lists)).toEqual(['b', 'a', 'c'])
    expect(fuse(lists)[0]?.similarity).toBe(0.8)
  })

  it('moves what is important up, and not across the whole list', () => {
    const many = Array.from({ length: 40 }, (_, i) => found(`x${String(i).padStart(2, '0')}`, 0.5))
    const important = order([[...many.slice(0, 10), found('important', 0.5, 1)]])
    expect(important[0]).toBe('important')
    expect(order([[...many, found('important', 0.5, 1)]]).indexOf('important')).toBeGreaterThan(5)
  })
})

describe('words of a query', () => {
  it('are those that say something, each once, with the parts of names', () => {
    expect(queryWords('How is the parseBody of AuthService implemented? parseBody!')).toEqual([
      'parsebody',
      'authservice',
      'implemented',
      'parse',
      'body',
      'auth',
      'service',
    ])
    expect([queryWords('who are you'), queryWords('…'), queryWords('x '.repeat(9) + 'y')]).toEqual([
      ['who', 'are', 'you'],
      [],
      ['x', 'y'],
    ])
    expect(queryWords(Array.from({ length: 500 }, (_, i) => `w${i}`).join(' '))).toHaveLength(24)
  })

  it('adds nothing to a text without such names', () => {
    expect([withParts('plain words'), withParts('an HTTPServer and httpServer2Go')]).toEqual([
      'plain words',
      'an HTTPServer and httpServer2Go\nhttp Server2 Go',
    ])
  })
})

describe('counting tokens', () => {
  it('counts about as the models do', async () => {
    expect(await tokens.count('')).toBe(0)
    expect(await tokens.count('Important decision: Using JWT for auth')).toBe(7)
    expect(await tokens.count('<|endoftext|>')).toBeGreaterThan(1)
  })

  it('counts what has no spaces in pieces: as a whole it takes the library time that grows with its square', async () => {
    const text = 'internationalization'.repeat(40)
    const pieces = text.match(/.{1,64}/g) ?? []
    const counts = await Promise.all(pieces.map((piece) => tokens.count(piece)))
    expect(await tokens.count(text)).toBe(counts.reduce((sum, count) => sum + count, 0))
    for (const one of ['x', '界', '=', ' ', '\n']) expect(await tokens.count(one.repeat(50_000))).toBeGreaterThan(300)
  })
})
