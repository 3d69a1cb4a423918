/** One plain text to one address. */
export type Mail = { readonly to: string; readonly subject: string; readonly text: string }

/** Takes mails out of the node. */
export type Mailer = {
  /** False: nothing is sent; mails are kept for a while, in memory, for whoever runs the node. */
  readonly isSending: boolean
  /** Resolves once somebody else has taken over. @throws when nobody would; the message never has the text in it */
  send(mail: Mail): Promise<void>
}
