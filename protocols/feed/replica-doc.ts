import * as Y from 'yjs'

/**
 * An empty document that well-formed structs at senseless places cannot break: collecting a deleted type makes Yjs throw,
 * half-way through, when one of its children is not deleted. Honest programs never get there (deleting a type deletes
 * its children), a member with a modified one can. Such a type stays deleted and is not collected.
 */
export const createReplicaDoc = (): Y.Doc => new Y.Doc({ gcFilter: isCollectable })

function isCollectable({ content }: Y.Item): boolean {
  if (!(content instanceof Y.ContentType)) return true
  const { _start: start, _map: map } = content.type
  for (let item = start; item !== null; item = item.right) if (!isDeadChild(item)) return false
  for (const last of map.values())
    for (let item: Y.Item | null = last; item !== null; item = item.left) if (!isDeadChild(item)) return false
  return true
}

const isDeadChild = (item: Y.Item): boolean => item.deleted && isCollectable(item)
