/**
 * The native part of node-pty. Its JavaScript part is not used: it destroys the terminal 200 ms after the program's
 * exit, read or not, and writes in a way that spins while the program does not read.
 */
declare module '@lydell/node-pty/requireBinary.js' {
  export type PtyBinding = {
    fork(
      file: string,
      argv: readonly string[],
      environment: readonly string[],
      cwd: string,
      cols: number,
      rows: number,
      uid: number,
      gid: number,
      utf8: boolean,
      helperPath: string,
      onExit: (exitCode: number, signal: number) => void,
    ): { readonly fd: number; readonly pid: number; readonly pty: string }
    resize(fd: number, cols: number, rows: number): void
  }
  export function requireBinary(file: 'pty.node'): PtyBinding
}
