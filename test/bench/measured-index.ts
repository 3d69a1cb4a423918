import { sampleQuestions, sampleTexts } from './sample-chunks.ts'
import { median, nowMicros } from './statistics.ts'

export type MeasuredIndex = {
  readonly batch: number
  add(texts: readonly string[]): void
  /** How many were found. */
  search(question: string): number
}

export type IndexFigures = {
  readonly perSecond: number
  readonly searchMicros: number
  /** More than before there was anything in it. */
  readonly memoryMb: number
}

export type IndexCalls = { measure(input: { count: number; questions: number }): Promise<IndexFigures> }

/** Fills an index with texts and asks it; what making up the texts takes does not count. */
export const measureIndex = (index: MeasuredIndex): IndexCalls => ({
  async measure({ count, questions }) {
    const before = process.memoryUsage().rss
    let micros = 0
    let batch: string[] = []
    const flush = async (): Promise<void> => {
      const began = nowMicros()
      index.add(batch)
      micros += nowMicros() - began
      batch = []
      // The parent may want to end this.
      await new Promise((resolve) => setImmediate(resolve))
    }
    for (const text of sampleTexts(count)) if (batch.push(text) === index.batch) await flush()
    await flush()
    const durations = sampleQuestions(questions).map((question) => {
      const began = nowMicros()
      if (index.search(question) === 0) throw new Error('nothing was found')
      return nowMicros() - began
    })
    const memoryMb = (process.memoryUsage().rss - before) / 1e6
    return { perSecond: (count / micros) * 1e6, searchMicros: median(durations), memoryMb }
  },
})
