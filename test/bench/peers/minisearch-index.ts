import MiniSearch from 'minisearch'
import { answerCalls } from '../calls.ts'
import { measureIndex, type IndexCalls } from '../measured-index.ts'

const index = new MiniSearch({ fields: ['text'], storeFields: ['text'] })
let ids = 0

const calls: IndexCalls = measureIndex({
  batch: 700,
  add: (texts) => index.addAll(texts.map((text) => ({ id: ids++, text }))),
  search: (question) => index.search(question).slice(0, 50).length,
})

answerCalls(calls)
