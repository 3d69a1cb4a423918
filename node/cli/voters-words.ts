import type { ElectorateView, ElectorView } from '../services/voters/electorate-service.ts'
import { table } from './command.ts'

/** The voters as a table, what they add up to, and what would be better. */
export function electorateLines(view: ElectorateView): string[] {
  return [
    ...table([HEADINGS, ...view.machines.map(rowOf)]),
    '',
    `epoch ${view.epoch} · ${quorumWords(view)}`,
    ...forcedWords(view),
    ...suggestionWords(view),
  ]
}

const HEADINGS = ['NAME', 'STATE', 'VOTER', 'ELIGIBLE', 'AVAILABILITY (7 d)', 'ALWAYS-ON', 'PROBLEM']

const rowOf = (machine: ElectorView): string[] => [
  machine.name,
  machine.online ? 'online' : 'offline',
  yesOrNo(machine.voter),
  yesOrNo(machine.eligible),
  availabilityWords(machine),
  yesOrNo(machine.alwaysOn),
  machine.problem ?? '-',
]

const yesOrNo = (is: boolean): string => (is ? 'yes' : 'no')

/** A day has to pass before a share says anything: until then, how much of it has. */
function availabilityWords({ availability, observedHours }: ElectorView): string {
  if (availability === null) return '-'
  const share = `${(Math.floor(availability * 1000) / 10).toFixed(1)} %`
  return observedHours < 24 ? `${share} of ${observedHours} h` : share
}

/** What a claim needs, and what may fail meanwhile. */
export function quorumWords({ quorum, machines }: ElectorateView): string {
  const voters = machines.filter(({ voter }) => voter)
  const [only] = voters
  if (only && voters.length === 1) return `1 of 1: claims succeed only while ${only.name} can be reached`
  const spare = voters.length - quorum
  const need = `${quorum} of ${voters.length}: claims succeed`
  if (spare === 0) return `${need} only while every voter can be reached`
  return `${need} while ${spare === 1 ? 'one voter is' : `${spare} voters are`} down`
}

export function forcedWords({ isForced, grantsAgainInMs }: ElectorateView): string[] {
  if (!isForced) return []
  return [
    '! This set was installed by force. Voters of the one before that are still alive elsewhere may have given the same claims to others; fencing tokens tell which are later.',
    ...(grantsAgainInMs === null
      ? []
      : [
          `! This machine grants nothing for another ${durationWords(grantsAgainInMs)}, until every earlier claim has run out.`,
        ]),
  ]
}

function suggestionWords({ suggestion, machines }: ElectorateView): string[] {
  if (!suggestion) return []
  return ['', 'Better, by what this machine has seen:', `  ${setCommand(suggestion, machines)}`]
}

/** A command to paste: names where they are unambiguous. */
export function setCommand(peers: readonly string[], machines: readonly ElectorView[]): string {
  const words = peers.map((peer) => {
    const name = machines.find(({ peerId }) => peerId === peer)?.name
    const isUnique = machines.filter((machine) => machine.name === name).length === 1
    return name !== undefined && isUnique && !name.startsWith('-') ? quoted(name) : peer
  })
  return `rookery voters set ${words.join(' ')}`
}

const quoted = (name: string): string =>
  /^[\w.@%+:,-]+$/.test(name) ? name : `'${name.replaceAll("'", String.raw`'\''`)}'`

const durationWords = (ms: number): string => {
  const seconds = Math.ceil(ms / 1000)
  return seconds < 120 ? `${seconds} s` : `${Math.ceil(seconds / 60)} minutes`
}

/** What is unwise about a choice of voters and yet allowed. `chosen` are the ones that are known here. */
export function choiceWarnings(count: number, chosen: readonly ElectorView[]): string[] {
  const away = chosen.filter(({ eligible }) => !eligible)
  const even =
    count === 2
      ? ['! Two voters: both have to be up for every claim, so one alone, or three, is better.']
      : [`! ${count} voters tolerate no more failures than ${count - 1}: add one, or leave one out.`]
  return [
    ...(count % 2 === 0 ? even : []),
    ...(away.length * 2 > count
      ? [
          `! Most of these machines are not known to be always there (${away.map(({ name }) => name).join(', ')}): while a quorum sleeps, nobody can claim anything. Say alwaysOn in the config.json of a machine that is.`,
        ]
      : []),
  ]
}

export const wireElectorate = (view: ElectorateView): object => ({
  epoch: view.epoch,
  quorum: view.quorum,
  is_forced: view.isForced,
  grants_again_in_ms: view.grantsAgainInMs,
  machines: view.machines.map(wireMachine),
  problems: view.problems,
  suggestion: view.suggestion,
})

const wireMachine = (machine: ElectorView): object => ({
  peer_id: machine.peerId,
  name: machine.name,
  online: machine.online,
  voter: machine.voter,
  eligible: machine.eligible,
  availability: machine.availability,
  observed_hours: machine.observedHours,
  always_on: machine.alwaysOn,
  problem: machine.problem,
})
