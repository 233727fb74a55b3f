/** The process that measures: its arguments say what, its one message has the figures. */

import { change, dump, type Figures, learning } from './measure.js';

const [what, ...numbers] = process.argv.slice(2);
const [first = 0, second = 0, third = 0] = numbers.map(Number);

function work(): Promise<Figures> {
  if (what === 'change') return change(first, second, third);
  if (what === 'dump') return dump(first);
  if (what === 'learning') return learning(first);
  throw new TypeError(`nothing is called "${what}"`);
}

const figures = await work();
if (process.send === undefined) console.log(figures);
else process.send(figures, () => process.disconnect());
