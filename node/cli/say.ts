/** Tells a person at the terminal, on standard error, without what would control it. */
export function say(...lines: readonly string[]): void {
  for (const line of lines) process.stderr.write(`${printable(line)}\n`)
}

/** Names and texts come from other machines and from files: they might move the cursor, or fill the clipboard. */
export const printable = (text: string): string =>
  // oxlint-disable-next-line no-control-regex -- those are what it is about
  text.replaceAll(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g, '\uFFFD')
