import type { Command } from 'commander'
import { MeshId, PeerId } from '../../../crdt/ids.ts'
import { fromHex, toHex } from '../../../protocols/codec.ts'
import { recoveryProofBytes } from '../../../protocols/membership/records.ts'
import type { RecoveryKeyView, RecoveryStatus } from '../../services/membership/recovery-service.ts'
import { ask, command, group, print, type CommonOptions } from '../command.ts'
import { CommandFailure, EXIT } from '../exit.ts'
import { readWords } from '../read-words.ts'
import { say } from '../say.ts'

/**
 * The words live in this process only, for as long as it runs: the node gets the public key, or a signature, and
 * nothing is written anywhere but where the person asked for it.
 */
export function recoveryCommand(): Command {
  return group('recovery', 'words on paper that make an admin when every admin machine is lost')
    .addCommand(create())
    .addCommand(use())
    .addCommand(status())
}

function create(): Command {
  return command('create', 'make a recovery key and print its 24 words, this once; an earlier key ends')
    .addHelpText(
      'after',
      '\nThe words go to standard output and are stored nowhere: write them on paper, away from the machines.\nWhoever has them and a member machine can make that machine an admin of the mesh.',
    )
    .action(async (options: CommonOptions) => {
      const { createRecoveryWords, recoverySigner } = await import('../../adapters/recovery-words.ts')
      const { systemRandom } = await import('../../adapters/system-random.ts')
      const before = await ask<RecoveryStatus>(options, 'recovery.status')
      const words = createRecoveryWords(systemRandom)
      const signer = recoverySigner(words.join(' '))
      if (!signer.ok) throw new Error(signer.error)
      await ask<RecoveryStatus>(options, 'recovery.create', { publicKey: toHex(signer.value.publicKey) })
      say(WRITE_DOWN, ...before.keys.map(ended), '')
      print(options, { words: words.join(' ') }, () => linesOf(words))
    })
}

const WRITE_DOWN =
  'Write these 24 words down, in this order, and keep the paper away from the machines.\nThey are stored nowhere and cannot be shown again. If every admin machine is lost, they make an admin of any\nother member: `rookery recovery use`.'

const ended = ({ createdAt, byName }: RecoveryKeyView): string =>
  `The words of the key that ${byName} made on ${createdAt.slice(0, 10)} are good for nothing any more.`

const WORDS_PER_LINE = 6

const linesOf = (words: readonly string[]): string[] =>
  Array.from({ length: Math.ceil(words.length / WORDS_PER_LINE) }, (_, line) =>
    words.slice(line * WORDS_PER_LINE, (line + 1) * WORDS_PER_LINE).join(' '),
  )

function use(): Command {
  return command('use', 'make this machine an admin, with the 24 words of the recovery key')
    .addHelpText('after', '\nThe words are asked for without being shown, or read from standard input.')
    .action(async (options: CommonOptions) => {
      await ask<RecoveryStatus>(options, 'recovery.status')
      const { countWords, RECOVERY_WORDS, recoverySigner } = await import('../../adapters/recovery-words.ts')
      const text = await readWords(
        'The 24 words (they are not shown): ',
        (typed) => countWords(typed) >= RECOVERY_WORDS,
      )
      const signer = recoverySigner(text)
      if (!signer.ok) throw new CommandFailure(signer.error, EXIT.usage, { code: 'invalid_words' })
      const recovered = await recover(options, signer.value)
      print(options, wireStatus(recovered), () => [
        'This machine is now an admin of the mesh. What comes next, as far as it is needed:',
        '  rookery voters set <member>… --force --reason "…"   when the voters are lost',
        '  rookery remove <member>                             for each machine that is lost',
        '  rookery recovery create                             since the old words were on a machine now',
      ])
    })
}

/** The membership may change between the question and the proof; not this often. */
const TRIES = 5

type RecoverySigner = { readonly publicKey: Uint8Array; sign(message: Uint8Array): Uint8Array }

async function recover(options: CommonOptions, signer: RecoverySigner): Promise<RecoveryStatus> {
  const { createNodeCrypto } = await import('../../adapters/node-crypto.ts')
  for (let left = TRIES; ; left--) {
    const { mesh, self, keys, parents } = await ask<RecoveryStatus>(options, 'recovery.status')
    const key = keys.find(({ publicKey }) => publicKey === toHex(signer.publicKey))
    if (!key) throw noSuchKey(keys)
    const claim = {
      mesh: MeshId.parse(mesh),
      peer: PeerId.parse(self),
      recoveryKey: fromHex(key.id),
      parents: parents.map(fromHex),
    }
    const proof = toHex(signer.sign(recoveryProofBytes(createNodeCrypto(), claim)))
    try {
      return await ask<RecoveryStatus>(options, 'recovery.use', { recoveryKey: key.id, parents, proof })
    } catch (error) {
      if (!(error instanceof CommandFailure && error.code === 'superseded') || left === 1) throw error
    }
  }
}

const noSuchKey = (keys: readonly RecoveryKeyView[]): CommandFailure =>
  new CommandFailure(
    keys.length === 0
      ? 'This mesh has no recovery key that this machine knows of.'
      : `These words are well-formed, but not those of the mesh's recovery key (${keys.map(madeBy).join('; ')}). Words of an earlier key, or of another mesh?`,
    EXIT.refused,
    { code: 'unknown_key' },
  )

function status(): Command {
  return command('status', 'say whether there is a recovery key, since when, and who made it').action(
    async (options: CommonOptions) => {
      const state = await ask<RecoveryStatus>(options, 'recovery.status')
      print(options, wireStatus(state), () => [
        ...(state.keys.length === 0 ? ['No recovery key. An admin makes one with `rookery recovery create`.'] : []),
        ...state.keys.map((key) => `recovery key: ${madeBy(key)}`),
        ...(state.keys.length > 1 ? ['They were made at the same time: the words of each are good.'] : []),
        ...state.keys.filter(({ isByMember }) => !isByMember).map(replaceIt),
        `admins: ${state.admins.join(', ') || 'none'}`,
      ])
    },
  )
}

const madeBy = ({ createdAt, byName }: RecoveryKeyView): string => `made ${createdAt} by ${byName}`

const replaceIt = ({ byName }: RecoveryKeyView): string =>
  `! ${byName} was removed from the mesh: whoever ran it may know the words. Replace them: \`rookery recovery create\`.`

const wireStatus = ({ isAdmin, admins, keys }: RecoveryStatus): object => ({
  is_admin: isAdmin,
  admins,
  keys: keys.map(({ id, createdAt, by, byName, isByMember, capabilities }) => ({
    id,
    created_at: createdAt,
    by,
    by_name: byName,
    is_by_member: isByMember,
    capabilities,
  })),
})
