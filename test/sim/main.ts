import { argv } from 'node:process'

/*
 * The simulators: of leases, or with `--replication` of feeds, synchronisation and membership. `--mutants` hands over to
 * what proves that they would notice: that patches the source as it is loaded, so nothing of it may be loaded before.
 */
const about = argv.includes('--replication') ? './replication' : '.'
await import(argv.includes('--mutants') ? `${about}/mutants/main.ts` : `${about}/command.ts`)
