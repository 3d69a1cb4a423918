import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { MeshId } from '../../../crdt/ids.ts'
import { formatTicket, parseTicket, type Ticket, TICKET_ADDRESSES_MAX } from '../../../protocols/ticket.ts'
import { crypto, identity } from '../../support/identity.ts'

const ticket: Ticket = {
  mesh: MeshId.parse('ab'.repeat(32)),
  inviter: identity(1).peer,
  addresses: ['/ip4/192.168.1.10/tcp/4001', '/ip4/10.0.0.3/tcp/4001', '/ip6/fd00::1234:5678/tcp/4001'],
  inviteSeed: new Uint8Array(32).fill(7),
  invite: new Uint8Array(32).fill(8),
  expiresAtMs: 1_800_000_000_000,
  capabilities: ['gateway', 'control', 'run', 'store'],
}
const nowMs = ticket.expiresAtMs - 1
const read = (text: string, atMs = nowMs): unknown => {
  const parsed = parseTicket(crypto, text, atMs)
  return parsed.ok ? parsed.value : parsed.error.code
}

describe('a ticket', () => {
  it('[M8] is one line that fits into a QR code and says everything again', () => {
    const line = formatTicket(crypto, ticket)
    expect(line).toMatch(/^rook1[A-Za-z0-9_-]+$/)
    expect(line.length).toBeLessThan(600)
    expect(read(line)).toEqual(ticket)
  })

  it('[M8] may be pasted with white space around and line breaks within', () => {
    const line = formatTicket(crypto, ticket)
    expect(read(`  ${line.slice(0, 80)}\r\n${line.slice(80)}\n`)).toEqual(ticket)
  })

  it('[M8] is good until its expiry', () => {
    const line = formatTicket(crypto, ticket)
    expect(read(line, ticket.expiresAtMs)).toEqual(ticket)
    expect(read(line, ticket.expiresAtMs + 1)).toBe('ticket_expired')
  })

  it('[M8] is recognised as mistyped, whichever character is wrong or missing', () => {
    const line = formatTicket(crypto, ticket)
    for (let i = 0; i < line.length; i++) {
      const other = line[i] === 'A' ? 'B' : 'A'
      expect(read(line.slice(0, i) + other + line.slice(i + 1))).toBe('ticket_invalid')
      expect(read(line.slice(0, i) + line.slice(i + 1))).toBe('ticket_invalid')
    }
  })

  it('[M8] has one spelling only', () => {
    const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
    for (const padding of ['a', 'ab', 'abc']) {
      const line = formatTicket(crypto, { ...ticket, addresses: [padding] })
      const readable = alphabet.split('').filter((last) => read(line.slice(0, -1) + last) !== 'ticket_invalid')
      expect(readable).toEqual([line.at(-1)])
    }
  })

  it('[M8] is refused and nothing thrown, whatever the text', () => {
    fc.assert(fc.property(fc.string(), (text) => read(text) === 'ticket_invalid'))
    fc.assert(fc.property(fc.base64String(), (text) => read(`rook1${text}`) === 'ticket_invalid'))
    expect(['', 'rook1', 'rook1A', `rook1${'A'.repeat(100_000)}`].map((text) => read(text))).toEqual(
      Array.from({ length: 4 }, () => 'ticket_invalid'),
    )
  })

  it('[M8] carries any bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 32, maxLength: 32 }), (inviteSeed) => {
        const one = { ...ticket, inviteSeed: new Uint8Array(inviteSeed) }
        expect(read(formatTicket(crypto, one))).toEqual(one)
      }),
    )
  })

  it('[M8] takes the first addresses when there are too many', () => {
    const addresses = Array.from({ length: 20 }, (_, i) => `/ip4/10.0.0.${i}/tcp/4001`)
    expect(read(formatTicket(crypto, { ...ticket, addresses }))).toEqual({
      ...ticket,
      addresses: addresses.slice(0, TICKET_ADDRESSES_MAX),
    })
  })
})
