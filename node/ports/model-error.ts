/**
 * Whether another try can help: `input`: not with this text, another may do; `setup`: not before somebody changes the
 * configuration; `later`: perhaps after a while.
 */
export type ModelErrorKind = 'input' | 'setup' | 'later'

/** A model did not answer as it should. The message is for people, and has no secrets or texts in it. */
export class ModelError extends Error {
  override readonly name = 'ModelError'
  readonly kind: ModelErrorKind
  readonly retryAfterMs: number | undefined

  constructor(kind: ModelErrorKind, message: string, options: { retryAfterMs?: number; cause?: unknown } = {}) {
    super(message, { cause: options.cause })
    this.kind = kind
    this.retryAfterMs = options.retryAfterMs
  }
}
