/** Open vSwitch's Python library, which reads the lines of dump-flows too, as Debian has it. */

import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

export const PYTHON_OVS = 'python3-openvswitch';
/** Its flow parser needs the other two, which Debian only suggests. */
const PACKAGES = [PYTHON_OVS, 'python3-netaddr', 'python3-pyparsing'];

/** Debian's own: what is first on the PATH may be another one, which does not see Debian's packages. */
const PYTHON = '/usr/bin/python3';
const SCRIPT = fileURLToPath(new URL('../../peers/python-ovs/odp_flow.py', import.meta.url));

const succeeds = (command: string, ...args: readonly string[]): boolean =>
  spawnSync(command, args, { stdio: 'ignore', env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' } })
    .status === 0;

const isThere = (): boolean => succeeds(PYTHON, '-c', 'from ovs.flow.odp import ODPFlow');

/** Sees to it that the library is there; else says why it is not. */
export function missingPythonOvs(): string | undefined {
  if (isThere()) return undefined;
  if (process.getuid?.() !== 0) return `${PYTHON_OVS} is not installed, and only root can install it`;
  const install = (): boolean =>
    succeeds('apt-get', 'install', '-y', '--no-install-recommends', ...PACKAGES) && isThere();
  if (install() || (succeeds('apt-get', 'update') && install())) return undefined;
  return `apt-get could not install ${PYTHON_OVS}`;
}

/** Lines per second, parsing those of `file` for `seconds`. */
export function measurePythonOvs(file: string, seconds: number): number {
  const { status, stdout, stderr, error } = spawnSync(PYTHON, [SCRIPT, file, String(seconds)], {
    encoding: 'utf8',
  });
  const rate = Number(stdout);
  if (status === 0 && rate > 0) return rate;
  throw new Error(`${PYTHON_OVS} gave no figure: ${error?.message ?? stderr}`);
}
