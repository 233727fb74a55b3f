/** What all queues know of frames: where EtherType and tags are, and how long one may be. Hot: no allocation, no throw. */

export const ETH_HEADER = 14;
export const ETHERTYPE_AT = 12;
export const VLAN_TAG = 4;
export const ETHERTYPE_VLAN = 0x8100;
export const ETHERTYPE_QINQ = 0x88a8;

/** Whether the `size` bytes at `frame` exceed `limit`, which VLAN tags do not count for. */
export function tooBig(view: DataView, frame: number, size: number, limit: number): boolean {
  if (size <= limit) return false;
  const end = frame + size;
  let allowed = limit;
  for (let at = frame + ETHERTYPE_AT; at + VLAN_TAG <= end; at += VLAN_TAG) {
    const type = view.getUint16(at);
    if (type !== ETHERTYPE_VLAN && type !== ETHERTYPE_QINQ) return true;
    allowed += VLAN_TAG;
    if (size <= allowed) return false;
  }
  return true;
}
