import { domainError } from '../../crdt/errors.ts'
import { err, ok, type Result } from '../../crdt/result.ts'
import { StorageError } from './feeds/documents.ts'

/** Turns a refusing disk into the domain's answer; everything else that is thrown is a bug and stays thrown. */
export async function written<T>(write: Promise<T>): Promise<Result<T>> {
  try {
    return ok(await write)
  } catch (error) {
    if (error instanceof StorageError) return err(domainError('storage_failed'))
    throw error
  }
}
