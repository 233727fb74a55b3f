/** Loading a driver's native binding (native/*.node), and the errors that its system calls throw. */

import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { DpifError } from '@etherloom/core/data';

/** A system call that failed in a binding: its number, and which step it was (`throw_outcome` of native/common.h). */
export interface SystemError {
  readonly errno: number;
  readonly syscall: string;
}

/**
 * Loads `native/NAME.node` beside the folder of the module `from` (its `import.meta.url`), which belongs to the package called
 * `owner`. Node keeps what is loaded, so asking again is cheap. ENOSYS when it is not built, or lacks one of `functions`.
 *
 * This is where the shape of a binding is trusted: the names are checked, the signatures are those of its C, which is compiled
 * from the same package.
 */
export function loadBinding<Binding>(
  from: string,
  owner: string,
  name: string,
  functions: readonly (keyof Binding & string)[],
): Binding {
  const path = fileURLToPath(new URL(`../native/${name}.node`, from));
  let module: unknown;
  try {
    module = createRequire(from)(path);
  } catch (error) {
    const reason = error instanceof Error ? error.message.split('\n')[0] : String(error);
    throw new DpifError(
      'ENOSYS',
      `the native part of ${owner} cannot be loaded (${reason}): build it with the package's script "native"`,
      { cause: error },
    );
  }
  if (offers<Binding>(module, functions)) return module;
  throw new DpifError(
    'ENOSYS',
    `${path} is of another version: build it anew with the package's script "native"`,
  );
}

function offers<Binding>(module: unknown, names: readonly (keyof Binding & string)[]): module is Binding {
  if (typeof module !== 'object' || module === null) return false;
  const members = new Map(Object.entries(module));
  return names.every((name) => typeof members.get(name) === 'function');
}

export function isSystemError(error: unknown): error is Error & SystemError {
  return (
    error instanceof Error &&
    'errno' in error &&
    typeof error.errno === 'number' &&
    'syscall' in error &&
    typeof error.syscall === 'string'
  );
}
