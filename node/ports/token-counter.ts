/** Estimates how many tokens a text takes: each model counts in its own way. */
export interface TokenCounter {
  count(text: string): Promise<number>
}
