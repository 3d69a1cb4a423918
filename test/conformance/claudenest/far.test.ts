import { conformanceSuite } from './suite.ts'

// Everything that happens on the machine crosses the mesh.
conformanceSuite('another gateway')
