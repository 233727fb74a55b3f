/** Learned MAC addresses: how the daemon reports them, and Open vSwitch's layout of them. */

/** One learned address as `fdb/show` reports it. */
export type FdbEntry = {
  readonly port: number;
  /** Name of the port. */
  readonly name: string;
  /** VLAN id; 0 for untagged. */
  readonly vlan: number;
  /** `aa:bb:cc:dd:ee:ff`. */
  readonly mac: string;
  /** Seconds since the station was last heard; null for one that the operator put there, which does not age. */
  readonly age: number | null;
};

/** Open vSwitch's layout; the local port prints as LOCAL. */
export function formatFdb(entries: readonly FdbEntry[]): string {
  const rows = entries.map(({ port, vlan, mac, age }) => {
    const name = port === 0 ? 'LOCAL' : String(port);
    return `${name.padStart(5)}  ${String(vlan).padStart(4)}  ${mac}  ${String(age ?? 'static').padStart(3)}\n`;
  });
  return ` port  VLAN  MAC                Age\n${rows.join('')}`;
}
