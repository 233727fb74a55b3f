/** Traces of packets in words, and as stable JSON. */

import { DROP_REASONS, type Trace, type TraceEvent, type TracePass, type TraceStep } from '@etherloom/core';
import { formatActions, formatFlowKey, type TextOptions } from '@etherloom/odp-codec';
import type { JsonValue } from '../unixctl/protocol.js';
import { changedAttributes, shortKey } from './key-changes.js';

const HEX_COLUMNS = 16;
const sentences = new Map(DROP_REASONS.map(({ code, sentence }) => [code, sentence]));
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

export interface TraceText extends TextOptions {
  /** Names of the datapath's ports, whether or not keys are to show them. */
  readonly ports: ReadonlyMap<number, string>;
}

type Output = Extract<TraceEvent, { readonly type: 'output' }>;

/** What became of the packet and its copies in the end, in the order in which it did. */
function ends(pass: TracePass): Exclude<TraceEvent, { readonly type: 'recirculation' }>[] {
  const events = (list: readonly TraceEvent[]): ReturnType<typeof ends> =>
    list.flatMap((event) => (event.type === 'recirculation' ? ends(event.pass) : [event]));
  const steps = (list: readonly TraceStep[]): ReturnType<typeof ends> =>
    list.flatMap((step) => [...events(step.events), ...steps(step.nested)]);
  return [...steps(pass.steps), ...events(pass.events)];
}

export function traceText(packet: Uint8Array, trace: Trace, text: TraceText): string {
  const lines = [`packet: ${packet.length} bytes`, ...passLines(trace.pass, '', text), 'result:'];
  for (const end of ends(trace.pass)) {
    lines.push(`  ${eventLine(end, text)}`);
    if (end.type === 'output') lines.push(...outputLines(end, text));
  }
  if (trace.truncated) lines.push('  and more than a trace can hold: it ends here');
  return `${lines.join('\n')}\n`;
}

function passLines(pass: TracePass, indent: string, text: TraceText): string[] {
  const { key, masks, visited, flow, steps, events } = pass;
  const lines = [`${indent}key: ${keyText(key, text)}`];
  if (flow === undefined) lines.push(`${indent}lookup: no flow matches (${count(visited, 'mask')} visited)`);
  else {
    lines.push(
      `${indent}lookup: mask ${visited} of ${masks} has a flow: ${formatFlowKey(flow.key, flow.mask, text)}`,
      `${indent}actions: ${formatActions(flow.actions, text)}`,
      ...steps.flatMap((step) => stepLines(step, `${indent}  `, text)),
    );
  }
  return [...lines, ...events.flatMap((event) => eventLines(event, `${indent}  `, text))];
}

function stepLines(step: TraceStep, indent: string, text: TraceText): string[] {
  const inside = `${indent}  `;
  return [
    indent + formatActions(step.action, text),
    ...changes(step, text).map((change) => inside + change),
    ...step.events.flatMap((event) => eventLines(event, inside, text)),
    ...step.nested.flatMap((nested) => stepLines(nested, inside, text)),
  ];
}

/** What an action changed: attributes of the key, and the length. */
function changes({ length, key, after }: TraceStep, text: TraceText): string[] {
  if (after === undefined) return [];
  const found = changedAttributes(
    formatFlowKey(key, undefined, text),
    formatFlowKey(after.key, undefined, text),
  );
  if (after.length !== length) found.push(`${length} -> ${after.length} bytes`);
  return found;
}

function eventLines(event: TraceEvent, indent: string, text: TraceText): string[] {
  if (event.type !== 'recirculation') return [indent + eventLine(event, text)];
  return [`${indent}looked up again:`, ...passLines(event.pass, `${indent}  `, text)];
}

function eventLine(event: Exclude<TraceEvent, { readonly type: 'recirculation' }>, text: TraceText): string {
  switch (event.type) {
    case 'output':
      return `leaves by ${portText(event.port, text)}: ${event.packet.length} bytes`;
    case 'upcall': {
      const userdata = event.userdata === undefined ? '' : `, userdata ${hex(event.userdata)}`;
      return `goes up to the client: ${event.reason} upcall to PID ${event.pid}${userdata}`;
    }
    case 'drop':
      return `dropped: ${sentences.get(event.reason) ?? 'for a reason unknown to this command'} (${event.reason})`;
  }
}

function outputLines({ packet, key }: Output, text: TraceText): string[] {
  const lines = [`    ${keyText(key, text)}`];
  for (let at = 0; at < packet.length; at += HEX_COLUMNS) {
    const row = [...packet.subarray(at, at + HEX_COLUMNS)].map((byte) => byte.toString(16).padStart(2, '0'));
    lines.push(`    ${at.toString(16).padStart(4, '0')}  ${row.join(' ')}`);
  }
  return lines;
}

/** With `verbose`, all of it. */
function keyText(key: Uint8Array, text: TraceText): string {
  const whole = formatFlowKey(key, undefined, text);
  return text.verbose === true ? whole : shortKey(whole);
}

function portText(port: number, { ports }: TraceText): string {
  const name = ports.get(port);
  return name === undefined ? `port ${port}` : `port ${port} (${name})`;
}

const count = (number: number, thing: string): string => `${number} ${thing}${number === 1 ? '' : 's'}`;

// --- JSON

export function traceJson(packet: Uint8Array, trace: Trace, text: TraceText): JsonValue {
  return {
    packet: hex(packet),
    lookup: passJson(trace.pass, text),
    result: ends(trace.pass).map((end) => eventJson(end, text)),
    truncated: trace.truncated,
  };
}

function passJson({ key, masks, visited, flow, steps, events }: TracePass, text: TraceText): JsonValue {
  return {
    key: formatFlowKey(key, undefined, text),
    masks: { visited, total: masks },
    flow:
      flow === undefined
        ? null
        : {
            match: formatFlowKey(flow.key, flow.mask, text),
            mask: formatFlowKey(flow.mask),
            actions: formatActions(flow.actions, text),
          },
    steps: steps.map((step) => stepJson(step, text)),
    events: events.map((event) => eventJson(event, text)),
  };
}

function stepJson(step: TraceStep, text: TraceText): JsonValue {
  const { action, length, key, after, events, nested } = step;
  const state = (at: { readonly length: number; readonly key: Uint8Array }) => ({
    length: at.length,
    key: formatFlowKey(at.key, undefined, text),
  });
  return {
    action: formatActions(action, text),
    before: state({ length, key }),
    ...(after !== undefined && { after: state(after) }),
    changes: changes(step, text),
    events: events.map((event) => eventJson(event, text)),
    nested: nested.map((one) => stepJson(one, text)),
  };
}

function eventJson(event: TraceEvent, text: TraceText): JsonValue {
  switch (event.type) {
    case 'output':
      return {
        type: 'output',
        port: event.port,
        name: text.ports.get(event.port) ?? null,
        key: formatFlowKey(event.key, undefined, text),
        packet: hex(event.packet),
      };
    case 'upcall':
      return {
        type: 'upcall',
        reason: event.reason,
        pid: event.pid,
        ...(event.userdata !== undefined && { userdata: hex(event.userdata) }),
        packet: hex(event.packet),
      };
    case 'recirculation':
      return { type: 'recirculation', lookup: passJson(event.pass, text) };
    case 'drop':
      return { type: 'drop', reason: event.reason, sentence: sentences.get(event.reason) ?? null };
  }
}
