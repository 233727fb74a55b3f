/** Makes a failing script short: what is behind its first unexplained difference goes, then whatever the difference does not need. */

import type { SessionResult } from './session.js';

type Commands = readonly (readonly string[])[];

/** Index of the first step with a difference that no rule explains. */
function firstFailing({ unexplained }: SessionResult): number {
  const steps = unexplained.map((difference) => Number(/^steps\[(\d+)\]/.exec(difference)?.[1] ?? 0));
  return Math.min(...steps);
}

/**
 * The shortest script found that still fails, and what it does. `play` is called with ever shorter scripts until
 * `enough` says so.
 */
export async function shorten(
  commands: Commands,
  result: SessionResult,
  play: (commands: Commands) => Promise<SessionResult>,
  enough: () => boolean,
): Promise<SessionResult> {
  let best = commands.slice(0, firstFailing(result) + 1);
  let found = await play(best);
  // It needed something behind the difference, which cannot be, or it does not fail every time.
  if (found.unexplained.length === 0) return result;
  for (let size = Math.ceil(best.length / 2); size >= 1; size = size === 1 ? 0 : Math.ceil(size / 2)) {
    for (let start = best.length - 1 - size; start > -size && !enough(); start -= size) {
      const without = best.filter((_, index) => index < start || index >= Math.max(start, 0) + size);
      const candidate = start < 0 ? best.slice(start + size) : without;
      if (candidate.length === best.length || candidate.length === 0) continue;
      const tried = await play(candidate);
      if (tried.unexplained.length === 0) continue;
      best = candidate.slice(0, firstFailing(tried) + 1);
      found = tried;
      start = Math.min(start, best.length - 1);
    }
  }
  return found;
}
