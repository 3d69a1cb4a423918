/** One thing the ClaudeNest document (or a known client of it) asks of a route, in our words. */
export type Requirement = {
  readonly id: string
  /** Section of the document. */
  readonly section: string
  readonly method: 'GET' | 'POST' | 'PATCH' | 'DELETE'
  readonly path: string
  readonly says: string
}

const rows = (
  section: string,
  method: Requirement['method'],
  path: string,
  says: readonly string[],
): readonly Requirement[] =>
  says.map((text, i) => ({ id: `${section} ${method} ${path} #${i + 1}`, section, method, path, says: text }))

export const REQUIREMENTS: readonly Requirement[] = [
  ...rows('2.1', 'GET', '/api/auth/:provider/redirect', [
    'answers where to send the browser, with state, nonce and a PKCE challenge',
    'answers 400 AUTH_001 for another provider',
  ]),
  ...rows('2.1', 'GET', '/api/auth/:provider/callback', [
    'answers the user with an avatar, a cn_ token and when it expires',
    'answers 400 AUTH_001 for another provider',
    'answers 401 AUTH_002 for a code the provider does not know',
  ]),
  ...rows('2.2', 'POST', '/api/auth/login', [
    'answers 200 with the user, a cn_ token and when it expires',
    'answers 401 AUTH_002 for a wrong password',
    'answers 422 VAL_001 that names a missing field',
  ]),
  ...rows('2.3', 'POST', '/api/auth/register', [
    'answers 201 with user and token',
    'refuses a confirmation that differs',
    'takes the setup code from the body or from X-Setup-Code',
  ]),
  ...rows('2.4', 'POST', '/api/auth/logout', ['answers null data, and the token is dead afterwards']),
  ...rows('2.5', 'GET', '/api/auth/me', ['answers the user, nested and flat']),
  ...rows('2.6', 'GET', '/api/auth/tokens', ['lists tokens without their text']),
  ...rows('2.6', 'POST', '/api/auth/tokens', ['answers 201 with the token, shown once']),
  ...rows('2.6', 'DELETE', '/api/auth/tokens/:id', ['revokes', 'answers 404 TOK_001 for an unknown id']),
  ...rows('2.7', 'POST', '/api/auth/magic-link', ['answers the same whether or not the address is known']),
  ...rows('2.7', 'POST', '/api/auth/magic-link/verify', [
    'answers the user with an access and a refresh token',
    'answers 400 AUTH_004 for a token that is unknown or used',
  ]),
  ...rows('2.7', 'POST', '/api/auth/refresh', [
    'answers a new pair for a refresh token',
    'answers 401 AUTH_005 for one that is not good',
  ]),
  ...rows('14.1', 'POST', '/api/auth/forgot-password', [
    'answers the same whether or not the address is known',
    'answers 400 AUTH_003 where no link can be sent',
  ]),
  ...rows('14.1', 'POST', '/api/auth/reset-password', [
    'sets the password with the code that was mailed',
    'answers 400 AUTH_004 for a code that is unknown or used',
  ]),
  ...rows('4.1', 'GET', '/api/machines', ['lists machines with pagination', 'filters by search and status']),
  ...rows('4.2', 'POST', '/api/machines', ['answers 201 with the machine and an mn_ token']),
  ...rows('4.3', 'GET', '/api/machines/:id', ['answers the machine', 'answers 404 MCH_001 otherwise']),
  ...rows('4.4', 'PATCH', '/api/machines/:id', ['changes name, sessions and capabilities']),
  ...rows('4.5', 'DELETE', '/api/machines/:id', ['removes the machine']),
  ...rows('4.7', 'GET', '/api/machines/:id/environment', [
    'answers the facts of a machine that is online',
    'answers 400 MCH_002 for one that is not',
  ]),
  ...rows('4.8', 'POST', '/api/machines/:id/wake', [
    'answers 400 MCH_004 for a machine that is online',
    'answers 400 MCH_003 for one that cannot be woken',
  ]),
  ...rows('5.1', 'GET', '/api/machines/:machine/sessions', ['lists the sessions of a machine', 'filters by status']),
  ...rows('5.2', 'POST', '/api/machines/:machine/sessions', [
    'answers 201 with the session and a ws_ ticket',
    'refuses sizes outside 20..500 by 10..200',
    'answers 400 MCH_002 for a machine that is offline',
  ]),
  ...rows('5.3', 'GET', '/api/sessions/:id', ['answers the session, nested and flat', 'answers 404 SES_001 otherwise']),
  ...rows('5.4', 'DELETE', '/api/sessions/:id', ['ends the session']),
  ...rows('5.5', 'GET', '/api/sessions/:id/logs', ['answers entries, by type and limit']),
  ...rows('5.6', 'POST', '/api/sessions/:id/attach', [
    'answers 200 with a ws_ ticket and the session',
    'answers 400 SES_002 once the session is over',
  ]),
  ...rows('5.7', 'POST', '/api/sessions/:id/input', ['types into the terminal']),
  ...rows('5.8', 'POST', '/api/sessions/:id/resize', ['resizes the terminal', 'refuses sizes that make no sense']),
  ...rows('6.1', 'GET', '/api/machines/:machine/projects', ['lists the projects of a machine']),
  ...rows('6.2', 'POST', '/api/machines/:machine/projects', [
    'answers 201 with the project',
    'answers 409 PRJ_002 for a path that is taken',
  ]),
  ...rows('6.3', 'GET', '/api/projects/:id', ['answers the project', 'answers 404 PRJ_001 otherwise']),
  ...rows('6.4', 'PATCH', '/api/projects/:id', [
    'changes what is given and keeps the rest',
    'changes how files are locked, and refuses what is no policy',
  ]),
  ...rows('6.5', 'DELETE', '/api/projects/:id', ['removes the project']),
  ...rows('7.1', 'GET', '/api/projects/:project/tasks', ['lists tasks', 'filters by status and priority', 'pages']),
  ...rows('7.2', 'POST', '/api/projects/:project/tasks', [
    'answers 201 with the task',
    'refuses unknown fields and priorities, naming them',
  ]),
  ...rows('7.3', 'GET', '/api/projects/:project/tasks/next-available', [
    'answers the unblocked task of the highest priority',
    'answers null when there is none',
  ]),
  ...rows('7.7', 'POST', '/api/projects/:project/tasks/claim-next', [
    'claims the next task in one step',
    'answers null when there is none',
  ]),
  ...rows('7.4', 'GET', '/api/tasks/:id', ['answers the task, nested and flat', 'answers 404 TSK_001 otherwise']),
  ...rows('7.5', 'PATCH', '/api/tasks/:id', ['changes what is given and keeps the rest']),
  ...rows('7.6', 'DELETE', '/api/tasks/:id', ['removes the task']),
  ...rows('7.7', 'POST', '/api/tasks/:id/claim', [
    'answers the task and "Task claimed successfully"',
    'says that the claim is certified',
    'answers 409 TSK_002 to the second, with the holder',
    'takes assigned_to for instance_id',
  ]),
  ...rows('7.8', 'POST', '/api/tasks/:id/release', [
    'gives the task back',
    'answers 403 TSK_003 to another token',
    'lets another token release with the fencing token',
  ]),
  ...rows('7.9', 'POST', '/api/tasks/:id/complete', [
    'completes the task with summary and files',
    'answers 403 TSK_003 to another token',
    'takes completion_summary for summary',
  ]),
  ...rows('9.1', 'GET', '/api/projects/:project/locks', [
    'lists locks with the seconds they last',
    'says how surely each is held',
  ]),
  ...rows('9.2', 'POST', '/api/projects/:project/locks', [
    'answers 201 with the lock',
    'answers 409 LCK_001 to another instance, with holder and expiry',
    'takes locked_by and expires_at for instance_id and duration_minutes',
    'says how surely it is held, and takes exclusive',
    'takes a pattern, and says what that covers',
  ]),
  ...rows('9.3', 'POST', '/api/projects/:project/locks/check', [
    'tells of a lock, and how surely it is held',
    'tells that there is none',
  ]),
  ...rows('9.4', 'POST', '/api/projects/:project/locks/extend', [
    'extends',
    'takes minutes for additional_minutes',
    'says how surely it is held',
  ]),
  ...rows('9.5', 'POST', '/api/projects/:project/locks/bulk', [
    'answers what it got, what not, and why',
    'says how surely each is held',
    'takes nothing with all_or_nothing when one is held',
  ]),
  ...rows('9.6', 'POST', '/api/projects/:project/locks/release', [
    'releases',
    'answers 409 LCK_001 to an instance that does not hold it',
  ]),
  ...rows('9.7', 'POST', '/api/projects/:project/locks/force-release', [
    'releases whoever holds it',
    'needs lock:admin',
  ]),
  ...rows('16', 'GET', '/api/health', ['answers ok, version and time without a token']),
]

/** Finds a requirement by its route and words, so that a test cannot cite one that does not exist. */
export function cite(route: string, says: string): Requirement {
  const found = REQUIREMENTS.find((row) => `${row.method} ${row.path}` === route && row.says === says)
  if (found === undefined) throw new Error(`No requirement of ${route} says: ${says}`)
  return found
}
