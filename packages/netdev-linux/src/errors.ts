/** Errors of bindings and of rtnetlink as sentences: what failed, why, and what to do where that is known. */

import { DpifError, errnoCode } from '@etherloom/core';
import { isSystemError } from './binding.js';

/** What a TAP's descriptor says when somebody deleted the device. */
const EBADFD = 77;

/** `what` failed with `error`. */
export function kernelError(error: unknown, what: string): DpifError {
  if (error instanceof DpifError) return error;
  if (!isSystemError(error)) throw error;
  const code = errnoCode(error.errno);
  if (code === 'ENODEV' || error.errno === EBADFD) {
    return new DpifError(
      'ENODEV',
      `${what}: the device is gone (deleted, or moved to another namespace), close the port and add it again`,
      { cause: error },
    );
  }
  const advice =
    code === 'EPERM' || code === 'EACCES' ? '; it takes root or the capability CAP_NET_ADMIN' : '';
  return new DpifError(code, `${what}: ${error.message}${advice}`, { cause: error });
}

/** Why namespace `netns`, as the user wrote it, could not be entered; undefined when `error` is about something else. */
export function namespaceError(error: unknown, netns: string | undefined): DpifError | undefined {
  if (netns === undefined || !isSystemError(error)) return undefined;
  const refuse = (code: 'ENOENT' | 'EINVAL' | 'EPERM', sentence: string): DpifError =>
    new DpifError(code, sentence, { cause: error });
  switch (`${error.syscall}: ${errnoCode(error.errno)}`) {
    case 'open netns: ENOENT':
      return refuse('ENOENT', `there is no network namespace "${netns}": "ip netns add" makes one`);
    case 'setns: EINVAL':
      return refuse('EINVAL', `netns="${netns}" is a file, but not a network namespace`);
    case 'setns: EPERM':
      return refuse(
        'EPERM',
        `entering network namespace "${netns}" takes root or the capability CAP_SYS_ADMIN`,
      );
    default:
      return undefined;
  }
}
