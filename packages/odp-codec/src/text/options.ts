/** Options of the text formats of keys, actions and flows. */

/** How to print. */
export interface TextOptions {
  /** Name of a datapath port; a port without a name is printed as its number. Default: numbers only. */
  readonly portName?: (no: number) => string | undefined;
  /** Print every field, also the wildcarded ones, and full masks (dpctl's `-m`). Default false. */
  readonly verbose?: boolean;
}

/** How to read. */
export interface ParseOptions {
  /** Number of a datapath port by name. Default: port names are errors. */
  readonly portNumber?: (name: string) => number | undefined;
  /**
   * Refuse what Open vSwitch's own parser refuses. Default false: also accept every form that dump-flows prints but
   * Open vSwitch cannot read back (`nsh(...)`, `ct_tuple6(src_port=..)`, `recirc(0x7)` ...) and prefix lengths. Set it
   * to check a text before handing it to Open vSwitch, and to compare with Open vSwitch.
   */
  readonly strict?: boolean;
}
