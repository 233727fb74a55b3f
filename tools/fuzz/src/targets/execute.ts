/** Arbitrary actions on arbitrary frames. */

import type { Input, ReadVectors, Target } from '../target.js';
import { unlessNotCompiled } from './action-bytes.js';
import { hexField, mustEqual, mustHold, sameBytes } from './check.js';
import { knobOf, packetTypeOf } from './extract.js';
import { RecordingHost } from './host.js';

/** Longest frame: more than a small frame of the arena holds. */
const LONGEST = 4096;

function seeds(read: ReadVectors): Input[] {
  const alone = [...read('actions'), ...read('actions-bad')].flatMap((record) =>
    hexField(record, 'actions_hex'),
  );
  const together = read('execute').flatMap((record) =>
    hexField(record, 'packet_hex').flatMap((frame) =>
      hexField(record, 'actions_hex').map((actions) => [
        Uint8Array.of(knobOf(record), 0, 0, 0, 0),
        frame,
        actions,
      ]),
    ),
  );
  const frames = together.map(([, frame]) => frame!);
  return [
    ...together,
    ...alone.map((actions, i) => [
      Uint8Array.of(0, i, i, i, i % 5 === 0 ? 1 : 0),
      frames[i % frames.length]!,
      actions,
    ]),
  ];
}

const hosts = [new RecordingHost(0x00), new RecordingHost(0xff)] as const;

function run([knobs, frame, actions]: Input): void {
  if (knobs === undefined || frame === undefined || actions === undefined) return;
  const program = unlessNotCompiled(actions);
  if (program === undefined) return;
  sameBytes('a program has the actions that it was made from', program.actions, actions);
  const settings = {
    packetType: packetTypeOf(knobs[0]!),
    keeps: knobs[1]!,
    extension: knobs[2]!,
    seed: knobs[3]! & 0x7f,
    keepsPacket: (knobs[3]! & 0x80) !== 0,
    offload: knobs[4]! & 0x3f,
  };
  const [first, second] = hosts.map((host) => {
    host.run(frame, program, settings);
    const { leaked, changed, stray, wroteRow, drops, calls } = host;
    mustHold('every frame comes back', leaked === 0, () => `${leaked} frames are missing`);
    mustHold('a frame that the host keeps does not change', changed === 0, () => `${changed} frames did`);
    mustHold('nothing is written outside of packets', stray === 0, () => `${stray} frames are damaged`);
    mustHold('the row of the caller is not written', !wroteRow, () => 'it was');
    mustHold(
      'a packet is handed on or dropped',
      settings.keepsPacket || calls.length + drops.length > 0,
      () => 'neither',
    );
    return [...calls, ...drops.map((reason) => `drop ${reason}`)].join('\n');
  });
  mustEqual('what is done does not depend on memory outside of packets', second!, first!);
}

export const execute: Target = {
  parts: [
    { name: 'packet type, calls kept, answers, seed, offload', kind: 'knobs', maxLength: 5 },
    { name: 'frame', kind: 'bytes', maxLength: LONGEST },
    { name: 'actions', kind: 'netlink', maxLength: 1024 },
  ],
  seeds,
  run,
};
