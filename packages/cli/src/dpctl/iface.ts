/** The interface argument of add-if and set-if: `NAME[,type=T][,port_no=N][,option=value]...`. */

/** What the text says. `options` holds everything but type and port_no; an option without "=" has an empty value. */
export interface InterfaceSpec {
  /** Empty when the text is nothing but commas. */
  readonly name: string;
  readonly type?: string;
  readonly portNo?: string;
  readonly options: Readonly<Record<string, string>>;
  /** Options that the text gives again; the first value of each counts. */
  readonly duplicates: readonly string[];
}

/** Parses `text`. Of type and port_no, the last counts. */
export function parseInterface(text: string): InterfaceSpec {
  const [name = '', ...settings] = text.split(',').filter((part) => part !== '');
  const options = new Map<string, string>();
  const own = new Map<string, string>();
  const duplicates: string[] = [];
  for (const setting of settings) {
    const equals = setting.indexOf('=');
    const key = equals < 0 ? setting : setting.slice(0, equals);
    const value = equals < 0 ? '' : setting.slice(equals + 1);
    if (key === 'type' || key === 'port_no') own.set(key, value);
    else if (options.has(key)) duplicates.push(key);
    else options.set(key, value);
  }
  const type = own.get('type');
  const portNo = own.get('port_no');
  return {
    name,
    ...(type === undefined ? {} : { type }),
    ...(portNo === undefined ? {} : { portNo }),
    options: Object.fromEntries(options),
    duplicates,
  };
}
