/** Sends one request, given as JSON, from the host it runs on, and prints status and body of the answer as JSON. */
const { method, url, token, body } = JSON.parse(process.argv[2] ?? '{}')
const response = await fetch(url, {
  method,
  headers: {
    ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
    ...(body === undefined ? {} : { 'content-type': 'application/json' }),
  },
  ...(body === undefined ? {} : { body: JSON.stringify(body) }),
})
process.stdout.write(JSON.stringify({ status: response.status, body: await response.json() }))
