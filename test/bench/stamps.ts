import { nowMicros } from './statistics.ts'

const FINAL = 'final'
/** An update's text: a sentence or two. */
const TEXT_CHARS = 200

/** Says when it was made, so that whoever sees it knows how long it travelled. */
export const stampedText = (): string => String(nowMicros()).padEnd(TEXT_CHARS)
export const sentAt = (text: string): number => Number(text)

/** Ends a flood; no two are the same. */
export const finalText = (): string => `${FINAL} ${nowMicros()}`.padEnd(TEXT_CHARS)
export const isFinal = (text: string): boolean => text.startsWith(FINAL)
