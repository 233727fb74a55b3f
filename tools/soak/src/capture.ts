/** What the sources replay: datagrams that flows know by their source port, and some frames that no flow knows. */

import { PcapWriter } from '@etherloom/netdev-dummy';
import { arp, ethernet, ipv4, ipv6, pad, raw, udp } from '@etherloom/testkit';
import type { Random } from './random.js';

/** Datagrams have source ports from FIRST_TUPLE to below FIRST_TUPLE + TUPLES. */
export const FIRST_TUPLE = 1000;
export const TUPLES = 48;
const FRAMES = 512;

export function writeCapture(file: string, random: Random): void {
  const frames = Array.from({ length: FRAMES }, () => {
    // Most are short, as on a network; some are as long as they may be.
    const payload = new Uint8Array(random(4) === 0 ? random(1450) : random(64));
    const tuple = { src: FIRST_TUPLE + random(TUPLES), dst: 2000 };
    const other = random(40);
    if (other === 0) return pad(ethernet({}, arp({ op: 1, spa: '10.0.0.1', tpa: '10.0.0.2' })));
    if (other === 1)
      return pad(
        ethernet(
          {},
          raw(
            0x88b5,
            Uint8Array.from({ length: 46 }, () => random(256)),
          ),
        ),
      );
    if (other === 2) {
      return ethernet(
        { vlans: [{ vid: random(4096) }] },
        ipv6({ src: '2001:db8::1', dst: '2001:db8::2' }, udp(tuple, payload)),
      );
    }
    return pad(ethernet({}, ipv4({ src: '10.0.0.1', dst: '10.0.0.2' }, udp(tuple, payload))));
  });
  const pcap = new PcapWriter(file);
  pcap.write(frames);
  pcap.close();
}
