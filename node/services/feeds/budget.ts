import type { DocumentInfo } from './documents-service.ts'

/**
 * Beyond it a document takes hundreds of milliseconds to load and tens of megabytes of memory: something is kept in it
 * that should not be, or it should be more than one.
 */
export const BUDGET = { bytes: 5 * 1000 * 1000, structs: 100_000 } as const

/** In words, each document that has outgrown its budget. */
export const budgetProblems = (documents: readonly DocumentInfo[]): string[] =>
  documents.flatMap(({ doc, weight }) => {
    if (!weight || (weight.bytes <= BUDGET.bytes && weight.structs <= BUDGET.structs)) return []
    const size = `${(weight.bytes / 1e6).toFixed(1)} MB, ${weight.structs.toLocaleString('en-US')} structs`
    return [
      `The document ${doc} is larger than one should be (${size}; budget ${BUDGET.bytes / 1e6} MB or ${BUDGET.structs.toLocaleString('en-US')}): see \`rookery storage\`.`,
    ]
  })
