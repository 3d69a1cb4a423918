/** How late the event loop was, over the last one to two minutes. Tens of milliseconds are no news. */
export type EventLoopDelay = { readonly p50Ms: number; readonly p99Ms: number; readonly maxMs: number }
