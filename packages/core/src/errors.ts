/** Errors of the control path: a code as errno names it, its number, and one sentence. */

/** errno codes that the contracts use: number and text as Linux on x86-64 has them (errno(3), strerror(3)). */
export const ERRNO = {
  EPERM: [1, 'Operation not permitted'],
  ENOENT: [2, 'No such file or directory'],
  EIO: [5, 'Input/output error'],
  ENXIO: [6, 'No such device or address'],
  E2BIG: [7, 'Argument list too long'],
  EBADF: [9, 'Bad file descriptor'],
  EAGAIN: [11, 'Resource temporarily unavailable'],
  ENOMEM: [12, 'Cannot allocate memory'],
  EACCES: [13, 'Permission denied'],
  EBUSY: [16, 'Device or resource busy'],
  EEXIST: [17, 'File exists'],
  ENODEV: [19, 'No such device'],
  EINVAL: [22, 'Invalid argument'],
  EMFILE: [24, 'Too many open files'],
  EFBIG: [27, 'File too large'],
  ENOSPC: [28, 'No space left on device'],
  ERANGE: [34, 'Numerical result out of range'],
  ENAMETOOLONG: [36, 'File name too long'],
  ENOSYS: [38, 'Function not implemented'],
  ELOOP: [40, 'Too many levels of symbolic links'],
  EPROTO: [71, 'Protocol error'],
  EOVERFLOW: [75, 'Value too large for defined data type'],
  EMSGSIZE: [90, 'Message too long'],
  EOPNOTSUPP: [95, 'Operation not supported'],
  EAFNOSUPPORT: [97, 'Address family not supported by protocol'],
  ENETDOWN: [100, 'Network is down'],
  ENOBUFS: [105, 'No buffer space available'],
  ENOTCONN: [107, 'Transport endpoint is not connected'],
  ETIMEDOUT: [110, 'Connection timed out'],
} as const satisfies Record<string, readonly [number, string]>;

export type ErrnoCode = keyof typeof ERRNO;

const BRAND = Symbol.for('etherloom.DpifError');

/**
 * The one error type of the dpif and netdev contracts.
 *
 * `code` is the errno name that dpif.h gives for the failure, `errno` its positive number, `message` one sentence
 * that says what was wrong, with which value, and what to do about it.
 */
export class DpifError extends Error {
  override readonly name = 'DpifError';
  readonly code: ErrnoCode;
  readonly errno: number;
  readonly [BRAND] = true;

  constructor(code: ErrnoCode, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.code = code;
    this.errno = ERRNO[code][0];
  }

  /** What strerror(3) says for this code; the text in parentheses of dpctl's error lines. */
  get strerror(): string {
    return ERRNO[this.code][1];
  }
}

/** Whether `error` is a {@link DpifError}, of this copy of the package or of another one. */
export function isDpifError(error: unknown): error is DpifError {
  return typeof error === 'object' && error !== null && BRAND in error;
}

const byNumber = new Map<number, ErrnoCode>(
  Object.entries(ERRNO).map(([code, [number]]) => [number, code as ErrnoCode]),
);

/** The name of an errno number (either sign); `EIO` for one that the contracts never use. */
export function errnoCode(errno: number): ErrnoCode {
  return byNumber.get(Math.abs(errno)) ?? 'EIO';
}

/** Makes any thrown value a {@link DpifError}, keeping one that already is. */
export function toDpifError(error: unknown, code: ErrnoCode = 'EIO'): DpifError {
  if (isDpifError(error)) return error;
  const message = error instanceof Error ? error.message : String(error);
  return new DpifError(code, message, { cause: error });
}
