import type { Command } from 'commander'
import { ask, command, print, type CommonOptions } from '../command.ts'

type Answer = { readonly contentType: string; readonly text: string }

/** For nodes without a gateway, and for a look without a scraper. */
export function metricsCommand(): Command {
  return command('metrics', 'print the metrics of the running node in the text format of Prometheus').action(
    async (options: CommonOptions) => {
      const { contentType, text } = await ask<Answer>(options, 'node.metrics')
      print(options, { content_type: contentType, text }, () => [text.trimEnd()])
    },
  )
}
