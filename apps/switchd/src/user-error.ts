/** An error whose message is all that the user needs to see: one sentence, no stack. */
export class UserError extends Error {
  override readonly name = 'UserError';
}
