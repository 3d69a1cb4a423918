/** First line of what `rookery service install` writes: only such files are replaced or removed. */
export const WRITTEN_BY = 'Written by `rookery service install`; `rookery service uninstall` removes it.'
