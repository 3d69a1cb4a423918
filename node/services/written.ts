import { domainError } from '../../crdt/errors.ts'
import { err, ok, type Result } from '../../crdt/result.ts'
import { NotWritableError, StorageError } from './feeds/documents.ts'

/** Turns a refusing disk, or mesh, into the domain's answer; everything else that is thrown is a bug and stays thrown. */
export async function written<T>(write: Promise<T>): Promise<Result<T>> {
  try {
    return ok(await write)
  } catch (error) {
    if (error instanceof StorageError) return err(domainError('storage_failed'))
    if (error instanceof NotWritableError) return err(domainError('forbidden', { message: error.message }))
    throw error
  }
}

/**
 * What a node says of itself at its start. One that has been removed says nothing, and starts all the same: to show
 * that, and to leave.
 */
export async function writtenIfMember(write: Promise<unknown>): Promise<void> {
  try {
    await write
  } catch (error) {
    if (!(error instanceof NotWritableError)) throw error
  }
}
