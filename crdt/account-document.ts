import type * as Y from 'yjs'

/*
 * The `accounts` document as anybody may see it: sealed keys and ciphertexts by opaque names. Values are untrusted
 * until opened.
 */

/** `<key id>/<peer>` → the accounts key sealed for that peer. */
export const sealedKeys = (state: Y.Doc): Y.Map<unknown> => state.getMap('keys')

/** Record name → ciphertext. */
export const sealedRecords = (state: Y.Doc): Y.Map<unknown> => state.getMap('records')
