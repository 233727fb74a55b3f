/**
 * A map from (VLAN, MAC address) to anything: 60 bits do not fit a number, so there are maps in maps, by VLAN, by the
 * upper half of the address, and by the lower one. As keys small integers cost V8 a third of what larger numbers do.
 */

const HALF = 2 ** 24;

type Halves<T> = Map<number, Map<number, T>>;

export class VlanMacMap<T> {
  readonly #vlans = new Map<number, Halves<T>>();
  #size = 0;

  get size(): number {
    return this.#size;
  }

  get(vlan: number, mac: number): T | undefined {
    const upper = Math.floor(mac / HALF);
    return this.#vlans
      .get(vlan)
      ?.get(upper)
      ?.get(mac - upper * HALF);
  }

  set(vlan: number, mac: number, value: T): void {
    const upper = Math.floor(mac / HALF);
    let halves = this.#vlans.get(vlan);
    if (halves === undefined) {
      halves = new Map();
      this.#vlans.set(vlan, halves);
    }
    let macs = halves.get(upper);
    if (macs === undefined) {
      macs = new Map();
      halves.set(upper, macs);
    }
    const before = macs.size;
    macs.set(mac - upper * HALF, value);
    this.#size += macs.size - before;
  }

  delete(vlan: number, mac: number): void {
    const upper = Math.floor(mac / HALF);
    const halves = this.#vlans.get(vlan);
    const macs = halves?.get(upper);
    if (halves === undefined || macs?.delete(mac - upper * HALF) !== true) return;
    this.#size--;
    if (macs.size > 0) return;
    halves.delete(upper);
    if (halves.size === 0) this.#vlans.delete(vlan);
  }

  *values(): Generator<T> {
    for (const halves of this.#vlans.values()) for (const macs of halves.values()) yield* macs.values();
  }
}
