import { argv } from 'node:process'

/*
 * The lease simulator. `--mutants` hands over to what proves that it would notice: that patches the source as it is
 * loaded, so nothing of it may be loaded before.
 */
await import(argv.includes('--mutants') ? './mutants/main.ts' : './command.ts')
