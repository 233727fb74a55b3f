/** Packets in hexadecimal: composed as the packet of a text is, then shortened, lengthened or damaged. */

import { composePacket } from '@etherloom/core';
import { KEY_WORDS, keyToFlow, parseFlowKeyExact } from '@etherloom/odp-codec';
import type { Choices } from './choices.js';
import { packetText, type Traffic } from './traffic.js';

/** Shortest packet that netdev-dummy/receive takes. */
const MIN_LENGTH = 14;

export function packetHex(traffic: Traffic, choices: Choices): string {
  const words = new Int32Array(KEY_WORDS);
  keyToFlow(parseFlowKeyExact(packetText(traffic, 1)), words);
  const packet = composePacket(words);
  return Buffer.from(damaged(packet, choices)).toString('hex');
}

function damaged(packet: Uint8Array, choices: Choices): Uint8Array {
  switch (choices.below(20)) {
    case 16:
      return packet.subarray(0, Math.max(MIN_LENGTH, packet.length - choices.below(packet.length)));
    case 17: {
      const longer = new Uint8Array(packet.length + choices.below(1400));
      longer.set(packet);
      return longer;
    }
    case 18:
    case 19: {
      const copy = packet.slice();
      for (let bytes = 1 + choices.below(3); bytes > 0; bytes--) {
        copy[choices.below(copy.length)] = choices.below(256);
      }
      return copy;
    }
    default:
      return packet;
  }
}
