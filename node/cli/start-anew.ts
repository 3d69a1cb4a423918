import { url as inspectorUrl } from 'node:inspector'
import { flushCompileCache, getCompileCacheDir } from 'node:module'

/** Says to the process that comes after that it is the second one. */
const SECOND = 'ROOKERY_STARTED_ANEW'

/**
 * Replaces this process by a fresh one of the same id, once, where it had to strip the types of its own source: what Node
 * does that with takes 20 MB of memory and stays. What was stripped and compiled is kept on the disk, so that the second
 * start needs nothing of the kind. To be called when everything is loaded and nothing is begun. A process that is debugged
 * stays: the debugger would lose it.
 */
export function startAnewIfStripped(): void {
  const isFirst = process.env[SECOND] === undefined
  delete process.env[SECOND]
  const isDebugged = inspectorUrl() !== undefined
  if (!isFirst || isDebugged || getCompileCacheDir() === undefined || !hasStripped()) return
  flushCompileCache()
  const args = [process.execPath, ...process.execArgv, ...process.argv.slice(1)]
  process.execve?.(process.execPath, args, { ...process.env, [SECOND]: '1' })
}

/** Node tells which of its own modules are loaded, though its types do not say so. */
function hasStripped(): boolean {
  const loaded: unknown = Reflect.get(process, 'moduleLoadList')
  return Array.isArray(loaded) && loaded.includes('NativeModule internal/deps/amaro/dist/index')
}
