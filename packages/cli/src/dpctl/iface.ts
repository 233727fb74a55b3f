/** The interface argument of add-if and set-if: `NAME[,type=T][,port_no=N][,option=value]...`. */

/** What the text says. `options` holds everything but type and port_no; an option without "=" has an empty value. */
export interface InterfaceSpec {
  readonly name: string;
  readonly type?: string;
  readonly portNo?: string;
  readonly options: Readonly<Record<string, string>>;
}

/** The text gives one option twice. */
export class DuplicateOptionError extends Error {
  override readonly name = 'DuplicateOptionError';
  readonly option: string;

  constructor(text: string, option: string) {
    super(`"${text}" gives the option "${option}" twice; give it once`);
    this.option = option;
  }
}

/** Parses `text`. Throws a `DuplicateOptionError`. */
export function parseInterface(text: string): InterfaceSpec {
  const [name = '', ...settings] = text.split(',');
  const options = new Map<string, string>();
  for (const setting of settings) {
    if (setting === '') continue;
    const equals = setting.indexOf('=');
    const key = equals < 0 ? setting : setting.slice(0, equals);
    if (options.has(key)) throw new DuplicateOptionError(text, key);
    options.set(key, equals < 0 ? '' : setting.slice(equals + 1));
  }
  const type = options.get('type');
  const portNo = options.get('port_no');
  options.delete('type');
  options.delete('port_no');
  return {
    name,
    ...(type === undefined ? {} : { type }),
    ...(portNo === undefined ? {} : { portNo }),
    options: Object.fromEntries(options),
  };
}
