import { expect, it } from 'vitest'
import { createGptTokenCounter } from '../../../../node/adapters/gpt-tokens.ts'
import { createBriefTokens } from '../../../../node/services/projects/brief-tokens.ts'
import { compile } from '../../../../node/services/context/compiling.ts'
import { CONTEXT_PROJECT } from '../../../support/context-lab.ts'
import { plainProject } from '../../../support/plain-project.ts'

it('counts the brief as the compiled context has it', async () => {
  const project = plainProject(CONTEXT_PROJECT, { summary: 'An API. '.repeat(50), conventions: 'Tabs, 中文, naïve.' })
  const tokens = createGptTokenCounter()
  const { compiled } = await compile(project, [], tokens)
  expect(await createBriefTokens(tokens)(project)).toBe(await tokens.count(compiled))
})

it('counts nothing where there is no brief, so that no table of tokens is loaded', async () => {
  const tokensOf = createBriefTokens({ count: () => Promise.reject(new Error('counted')) })
  expect(await tokensOf(plainProject(CONTEXT_PROJECT, { summary: ' \n' }))).toBe(0)
})
