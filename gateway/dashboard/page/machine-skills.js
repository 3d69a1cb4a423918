// The skills of a machine, and the switch of each.

import { createPagedList, namedCell, rowButton } from './paged-list.js'

export function setUpSkills({ $, call, reply, element, attempt, machine }) {
  const base = `/api/machines/${machine.machine_id}/skills`

  const toggle = (skill) =>
    attempt(skill.name, async () => {
      const path = skill.path.split('/').map(encodeURIComponent).join('/')
      // Said, not toggled: two who press at once mean the same.
      const { enabled } = await call('PATCH', `${base}/${path}`, { enabled: !skill.enabled })
      await list.load()
      return `${skill.name} is ${enabled ? 'enabled: agents that start from now on read it' : 'disabled: agents do not see it'}.`
    })

  const rowOf = (skill) => {
    const row = element('tr')
    const state = element('td', skill.enabled ? 'enabled' : 'disabled')
    state.append(
      ' ',
      rowButton(element, {
        id: `skill-${skill.id}`,
        label: skill.enabled ? 'Disable' : 'Enable',
        name: skill.name,
        act: () => toggle(skill),
      }),
    )
    const name = namedCell(element, skill.name, skill.description)
    if (skill.problem !== null) name.append(element('span', skill.problem, 'note problem'))
    row.append(name, element('td', skill.kind), element('td', skill.file), state)
    return row
  }

  const list = createPagedList({
    call: reply,
    element,
    label: 'Skills',
    columns: ['Skill', 'Kind', 'File', 'State'],
    rowOf,
    path: (search) => (search === '' ? base : `${base}?search=${encodeURIComponent(search)}`),
    searchable: true,
    none: 'No skills. Agents look for them in folders like ~/.claude/skills and in the projects of the machine.',
    onTotal: (total) => ($('skills-title').textContent = total === null ? 'Skills' : `Skills (${total})`),
  })
  return list
}
