import { argv } from 'node:process'

/*
 * The simulators: of leases, or with `--replication` of feeds, synchronisation and membership. `--mutants` hands over to
 * what proves that they would notice.
 */
if (argv.includes('--mutants')) await import('./mutants/main.ts')
else {
  const [{ runCommand }, { simulator }] = await Promise.all([
    import('./command.ts'),
    argv.includes('--replication') ? import('./replication/simulator.ts') : import('./leases/simulator.ts'),
  ])
  await runCommand(simulator)
}
