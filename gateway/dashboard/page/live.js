// Live updates: one socket for all channels, opened anew when it breaks.

const RETRY_MS = { first: 1000, max: 30_000 }

/**
 * `onEvent` gets what no channel has a listener of its own for; `onState` what to tell people. After a break everything is
 * subscribed to again and `onReconnect` called: what happened meanwhile is not told.
 */
export function openLive({ appKey, token, onEvent, onState, onReconnect }) {
  const channels = new Map()
  let socket = null
  let delay = RETRY_MS.first
  let isStopped = false
  let timer

  const send = (event, data) => {
    if (socket?.readyState === WebSocket.OPEN) socket.send(JSON.stringify({ event, data }))
  }
  const subscribe = (channel) => {
    const more = channels.get(channel)?.more?.() ?? {}
    send('pusher:subscribe', { channel, auth: { token: token() }, spelling: 'colon', ...more })
  }
  const join = (channel, listener) => {
    channels.set(channel, listener)
    subscribe(channel)
  }
  const onFrame = (frame) => {
    if (frame.event === 'pusher:connection_established') for (const channel of channels.keys()) subscribe(channel)
    else if (frame.event === 'pusher_internal:subscription_succeeded') {
      delay = RETRY_MS.first
      onState('Live')
    } else if (channels.get(frame.channel)?.onEvent) channels.get(frame.channel).onEvent(frame)
    else if (!frame.event.startsWith('pusher')) onEvent(frame)
  }
  const open = () => {
    const scheme = location.protocol === 'https:' ? 'wss' : 'ws'
    socket = new WebSocket(`${scheme}://${location.host}/app/${encodeURIComponent(appKey)}?protocol=7`)
    socket.addEventListener('message', ({ data }) => onFrame(JSON.parse(data)))
    socket.addEventListener('close', () => {
      if (isStopped) return
      onState('Reconnecting…')
      timer = setTimeout(() => {
        open()
        onReconnect()
      }, delay)
      delay = Math.min(delay * 2, RETRY_MS.max)
    })
  }
  open()
  return {
    /** With an `onEvent` of its own, and `more` for what a subscription says besides, or without. */
    join,
    follow(names) {
      for (const name of names) if (!channels.has(name)) join(name)
    },
    leave(channel) {
      if (channels.delete(channel)) send('pusher:unsubscribe', { channel })
    },
    stop() {
      isStopped = true
      clearTimeout(timer)
      socket?.close()
    },
  }
}
