import { open } from 'node:fs/promises'

/**
 * Makes durable which names are in a folder: files and folders made, renamed or removed directly in it. A synced file whose
 * name is not synced may be gone after a power failure, or there under its old name. What the files hold is not synced.
 */
export async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r')
  try {
    await folder.sync()
  } finally {
    await folder.close()
  }
}
