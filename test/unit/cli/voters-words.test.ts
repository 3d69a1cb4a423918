import { describe, expect, it } from 'vitest'
import type { PeerId } from '../../../crdt/ids.ts'
import type { ElectorateView, ElectorView } from '../../../node/services/voters/electorate-service.ts'
import { recoveryFinding, voterFindings } from '../../../node/cli/doctor-governance.ts'
import { choiceWarnings, electorateLines, quorumWords, setCommand } from '../../../node/cli/voters-words.ts'

const machine = (name: string, change: Partial<ElectorView> = {}): ElectorView => ({
  peerId: `peer-${name}` as PeerId,
  name,
  online: true,
  voter: true,
  eligible: true,
  availability: 0.9996,
  observedHours: 168,
  alwaysOn: false,
  problem: null,
  ...change,
})
const view = (machines: readonly ElectorView[], change: Partial<ElectorateView> = {}): ElectorateView => ({
  epoch: 3,
  quorum: Math.floor(machines.filter(({ voter }) => voter).length / 2) + 1,
  isForced: false,
  grantsAgainInMs: null,
  machines,
  problems: machines.flatMap(({ problem }) => problem ?? []),
  suggestion: null,
  ...change,
})
const voters = (count: number): ElectorView[] => Array.from({ length: count }, (_, i) => machine(`m${i}`))

describe('what people are told about voters', () => {
  it.each([
    [1, '1 of 1: claims succeed only while m0 can be reached'],
    [2, '2 of 2: claims succeed only while every voter can be reached'],
    [3, '2 of 3: claims succeed while one voter is down'],
    [4, '3 of 4: claims succeed while one voter is down'],
    [5, '3 of 5: claims succeed while 2 voters are down'],
  ])('[L2.7] says what %i voters need', (count, words) => {
    expect(quorumWords(view(voters(count)))).toBe(words)
  })

  it('[L2.7] is a table, the epoch, and a command to paste', () => {
    const machines = [
      machine('desk'),
      machine("Ada's laptop", { voter: false, eligible: false, online: false, availability: 0.5, observedHours: 3 }),
      machine('box', { voter: false, alwaysOn: true, availability: null, observedHours: 0 }),
    ]
    const suggestion = machines.map(({ peerId }) => peerId)
    expect(electorateLines(view(machines, { suggestion }))).toEqual([
      'NAME          STATE    VOTER  ELIGIBLE  AVAILABILITY (7 d)  ALWAYS-ON  PROBLEM',
      'desk          online   yes    yes       99.9 %              no         -',
      "Ada's laptop  offline  no     no        50.0 % of 3 h       no         -",
      'box           online   no     yes       -                   yes        -',
      '',
      'epoch 3 · 1 of 1: claims succeed only while desk can be reached',
      '',
      'Better, by what this machine has seen:',
      String.raw`  rookery voters set desk 'Ada'\''s laptop' box`,
    ])
  })

  it('[L2.7] says what a forced set means, and for how long it grants nothing', () => {
    const lines = electorateLines(view(voters(3), { isForced: true, grantsAgainInMs: 630_000 }))
    expect(lines.slice(-2)).toEqual([expect.stringContaining('by force'), expect.stringContaining('11 minutes')])
  })

  it('[L2.7] names machines by their peer ids where names are ambiguous or look like options', () => {
    const twins = [machine('desk'), machine('desk', { peerId: 'peer-2' as PeerId }), machine('--force')]
    expect(setCommand(['peer-desk', 'peer-2', 'peer---force'], twins)).toBe(
      'rookery voters set peer-desk peer-2 peer---force',
    )
  })

  it.each([
    [1, 0, 0],
    [2, 0, 1],
    [3, 0, 0],
    [3, 1, 0],
    [3, 2, 1],
    [4, 3, 2],
  ])(
    '[L2.7] warns of an even number, and of a majority that sleeps (%i voters, %i laptops)',
    (count, laptops, warnings) => {
      const chosen = voters(count).map((one, i) => ({ ...one, eligible: i >= laptops }))
      expect(choiceWarnings(count, chosen)).toHaveLength(warnings)
    },
  )
})

describe('what doctor says', () => {
  const key = {
    id: '',
    publicKey: '',
    createdAt: '2027-01-15T08:00:00.000Z',
    by: 'p' as PeerId,
    byName: 'desk',
    capabilities: [],
  }
  const finding = (admins: string[], isByMember?: boolean): string => {
    const keys = isByMember === undefined ? [] : [{ ...key, isByMember }]
    return recoveryFinding({ mesh: '' as never, self: 'p' as PeerId, isAdmin: true, admins, keys, parents: [] }).state
  }

  it('[M21] warns while there is one admin and no recovery key, or the key of somebody who is gone', () => {
    expect([finding(['desk']), finding(['desk', 'box']), finding(['desk'], true), finding(['box'], false)]).toEqual([
      'warning',
      'ok',
      'ok',
      'warning',
    ])
  })

  it('[L2.7] warns of one voter where others could vote, and of votes that do not count', () => {
    const suggestion = ['peer-m0', 'peer-m1', 'peer-m2'] as PeerId[]
    const alone = [machine('m0'), machine('m1', { voter: false }), machine('m2', { voter: false })]
    const states = [
      view(alone),
      view(alone, { suggestion }),
      view(voters(3), { suggestion }),
      view([machine('m0', { problem: 'has lost its journal' })]),
    ].map((state) => voterFindings(state).map(({ state }) => state))
    expect(states).toEqual([['ok'], ['warning'], ['ok'], ['problem']])
  })
})
