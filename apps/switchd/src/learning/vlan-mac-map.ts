/** A map from (VLAN, MAC address) to anything: 60 bits do not fit a number, so there is one map per VLAN. */

export class VlanMacMap<T> {
  readonly #vlans = new Map<number, Map<number, T>>();
  #size = 0;

  get size(): number {
    return this.#size;
  }

  get(vlan: number, mac: number): T | undefined {
    return this.#vlans.get(vlan)?.get(mac);
  }

  set(vlan: number, mac: number, value: T): void {
    let macs = this.#vlans.get(vlan);
    if (macs === undefined) {
      macs = new Map();
      this.#vlans.set(vlan, macs);
    }
    if (!macs.has(mac)) this.#size++;
    macs.set(mac, value);
  }

  delete(vlan: number, mac: number): void {
    const macs = this.#vlans.get(vlan);
    if (macs?.delete(mac) !== true) return;
    this.#size--;
    if (macs.size === 0) this.#vlans.delete(vlan);
  }

  *values(): Generator<T> {
    for (const macs of this.#vlans.values()) yield* macs.values();
  }
}
