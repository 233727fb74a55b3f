/** MAC addresses as numbers: 48 bits, exact in a double, and what Map keys are made of. */

/** `mac` from the two words of a packed row that hold it: 16 bits and 32 bits. */
export const macFromWords = (high: number, low: number): number => (high & 0xffff) * 2 ** 32 + (low >>> 0);

/** Whether the group bit is set: broadcast and multicast. */
export const isGroup = (mac: number): boolean => (Math.floor(mac / 2 ** 40) & 1) === 1;

/** `aa:bb:cc:dd:ee:ff`. */
export const formatMac = (mac: number): string =>
  mac
    .toString(16)
    .padStart(12, '0')
    .replace(/(..)(?=.)/g, '$1:');

const parse = (text: string): number => Number.parseInt(text.replaceAll(':', ''), 16);

/** Reads `aa:bb:cc:dd:ee:ff`; undefined for any other text. */
export const parseMac = (text: string): number | undefined =>
  /^[0-9a-f]{2}(?::[0-9a-f]{2}){5}$/i.test(text) ? parse(text) : undefined;

/** Single addresses of link-local protocols besides the 802.1D block. */
const RESERVED = new Set(
  [
    // Extreme: EDP, and EAPS.
    '00:e0:2b:00:00:00',
    '00:e0:2b:00:00:04',
    '00:e0:2b:00:00:06',
    // Cisco: ISL; CDP, VTP and UDLD; PVST+; STP uplink fast.
    '01:00:0c:00:00:00',
    '01:00:0c:cc:cc:cc',
    '01:00:0c:cc:cc:cd',
    '01:00:0c:cd:cd:cd',
    // Cisco CFM, c0 to c7.
    ...Array.from({ length: 8 }, (_, i) => `01:00:0c:cc:cc:c${i}`),
  ].map(parse),
);

/** 01:80:c2:00:00:0x: addresses that a bridge must not relay (IEEE 802.1D, table 7-10). */
const BRIDGE_BLOCK = parse('01:80:c2:00:00:00');

/** Whether frames to `mac` stay on their link. */
export const isReserved = (mac: number): boolean =>
  // All are below the block's end, where few stations are.
  mac < BRIDGE_BLOCK + 16 && (mac >= BRIDGE_BLOCK || RESERVED.has(mac));
