import type { ProjectId } from '../../crdt/ids.ts'
import { DEFAULT_PROJECT_SETTINGS, type Project } from '../../crdt/project.ts'

/** A project of which nothing has been said. */
export const plainProject = (id: ProjectId, more: Partial<Project> = {}): Project => ({
  id,
  name: 'lab',
  summary: '',
  architecture: '',
  conventions: '',
  currentFocus: '',
  recentChanges: '',
  settings: DEFAULT_PROJECT_SETTINGS,
  repository: null,
  paths: {},
  createdAt: '2026-01-01T00:00:00.000Z',
  createdBy: 'somebody',
  ...more,
})
