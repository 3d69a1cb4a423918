import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

const ROOT = join(import.meta.dirname, '../..')
const SOURCES = ['crdt', 'protocols', 'node', 'gateway'].map((folder) => `${folder}/**/*.ts`)

/** How bytes become values here. */
const DECODING =
  /(?<!\w)(?<![\w)]\.)(?:decode(?:Canonical|InPlace)\(\s*[\w.]+|decode\(|new FrameParser\(|readFrames\(|createFrameReader\(\))|JSON\.parse\(|Y\.decodeUpdate\(|\.applyUpdate(?:V2)?\(/g
const ELSEWHERE = /^\s*(?:import|\*|\/\/|export (?:async )?function)/

/** Every place in the source that decodes something: file and call. */
export function decodingSites(): string[] {
  const sites = new Set<string>()
  for (const file of SOURCES.flatMap((pattern) => globSync(pattern, { cwd: ROOT })))
    for (const line of readFileSync(join(ROOT, file), 'utf8').split('\n'))
      for (const [call] of ELSEWHERE.test(line) ? [] : line.matchAll(DECODING))
        sites.add(`${file} ${call.replaceAll(/\s/g, '')}`)
  return [...sites].toSorted()
}
