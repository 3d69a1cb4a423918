/**
 * The lease simulator. `--mutants` hands over to what proves that it would notice: it patches the source as it is
 * loaded, so nothing may be loaded before it.
 */
const isAbout = process.argv.includes('--mutants') ? './mutants/main.ts' : './command.ts'
await import(isAbout)

export {}
