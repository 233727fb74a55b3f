/** The one error that this package throws on bad input. */

/**
 * Names of the errno values that Open vSwitch's codec answers with: `EINVAL` for what cannot be read, `E2BIG` for what
 * is well-formed but does not fit a Netlink attribute.
 */
export type OdpErrorCode = 'EINVAL' | 'E2BIG';

/** Bad text, bytes or model. The message is one sentence; text errors also say where and what was expected there. */
export class OdpError extends Error {
  readonly code: OdpErrorCode;
  /** 1-based column of the text at which reading stopped. */
  readonly column?: number;
  /** What would have been accepted at that column. */
  readonly expected?: string;

  constructor(code: OdpErrorCode, message: string, where?: { column: number; expected: string }) {
    super(message);
    this.name = 'OdpError';
    this.code = code;
    if (where !== undefined) {
      this.column = where.column;
      this.expected = where.expected;
    }
  }
}
