/**
 * The action table: one row per OVS_ACTION_ATTR_*. Netlink lengths, text both ways, the JSON model and the table in the
 * README come from it. Adding an action is adding a row (and its form to the union in `model.ts`).
 */
import { Keywords } from '../text/keywords.js';
import { ct } from './ct.js';
import { addMpls, hash, popMpls, pushEth, pushMpls, pushVlan } from './headers.js';
import { checkPktLen, clone, decTtl, sample } from './nested.js';
import { pushNsh } from './nsh.js';
import { psample } from './psample.js';
import { type AnyActionRow, anyRow } from './row.js';
import { set, setMasked } from './set.js';
import {
  ctClear,
  drop,
  lbOutput,
  meter,
  output,
  popEth,
  popNsh,
  popVlan,
  recirc,
  tnlPop,
  trunc,
} from './simple.js';
import { tnlPush } from './tnl-push.js';
import { userspace } from './userspace.js';

/** Ordered by number. */
export const ACTIONS: readonly AnyActionRow[] = [
  anyRow(output),
  anyRow(userspace),
  anyRow(set),
  anyRow(pushVlan),
  anyRow(popVlan),
  anyRow(sample),
  anyRow(recirc),
  anyRow(hash),
  anyRow(pushMpls),
  anyRow(popMpls),
  anyRow(setMasked),
  anyRow(ct),
  anyRow(trunc),
  anyRow(pushEth),
  anyRow(popEth),
  anyRow(ctClear),
  anyRow(pushNsh),
  anyRow(popNsh),
  anyRow(meter),
  anyRow(clone),
  anyRow(checkPktLen),
  anyRow(addMpls),
  anyRow(decTtl),
  anyRow(drop),
  anyRow(psample),
  anyRow(tnlPush),
  anyRow(tnlPop),
  anyRow(lbOutput),
];

export const ACTION_BY_ATTR: ReadonlyMap<number, AnyActionRow> = new Map(
  ACTIONS.map((row) => [row.attr, row]),
);

/** `raw` is not among them: it has no attribute of its own. */
export const ACTION_BY_TYPE: ReadonlyMap<string, AnyActionRow> = new Map(
  ACTIONS.map((row) => [row.type, row]),
);

/** Rows with a text parser, longer keywords first, so that `ct` does not take `ct_clear`. */
export const ACTION_KEYWORDS: Keywords<AnyActionRow> = new Keywords(
  ACTIONS.flatMap((row) => (row.keyword === undefined ? [] : [[row.keyword, row] as const])).sort(
    ([a], [b]) => b.length - a.length,
  ),
);

/** The table as Markdown, for documentation. */
export function actionTable(): string {
  const rows = ACTIONS.map(({ attr, type, text, about }) => `| ${attr} | ${type} | \`${text}\` | ${about} |`);
  return ['| # | type | text | what it does |', '| --- | --- | --- | --- |', ...rows].join('\n');
}
