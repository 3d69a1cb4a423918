/** Slow, salted hashing of passwords. Costs memory and CPU on purpose: callers limit how many run at once. */
export interface PasswordHasher {
  /** The hash with its salt and parameters in one string. */
  hash(password: string): Promise<string>
  /** False for a wrong password and for anything that is not a hash. */
  verify(hash: string, password: string): Promise<boolean>
}
