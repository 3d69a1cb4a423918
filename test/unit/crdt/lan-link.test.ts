import { expect, it } from 'vitest'
import * as Y from 'yjs'
import { readLinks, writeLinks } from '../../../crdt/lan-link.ts'

const LINK = { mac: '02:00:00:00:00:01', subnet: '192.168.1.0/24' }

it('keeps what a machine states, and writes nothing when it is the same', () => {
  const doc = new Y.Doc()
  writeLinks(doc, [LINK])
  const before = Y.encodeStateVector(doc)
  writeLinks(doc, [LINK])
  expect([readLinks(doc), Y.encodeStateVector(doc)]).toEqual([[LINK], before])
})

it.each([
  ['nothing', undefined],
  ['a group address, which would wake others', [{ ...LINK, mac: 'ff:ff:ff:ff:ff:ff' }]],
  ['no address', [{ ...LINK, mac: '02:00:00:00:00' }]],
  ['no subnet', [{ ...LINK, subnet: '192.168.1.0' }]],
  ['more than are read', Array.from({ length: 17 }, () => LINK)],
])('takes %s for a machine that has stated none', (_, value) => {
  const doc = new Y.Doc()
  doc.getMap('facts').set('links', value)
  expect(readLinks(doc)).toEqual([])
})
