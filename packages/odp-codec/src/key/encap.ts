/** The shape of the ENCAP attribute: attributes inside an attribute. Whoever walks the outer run walks the inner one. */
import { MAX_NESTING } from './attributes.js';
import type { KeyModel } from './schema.js';
import { checkSize, endNested, type Shape } from './shape.js';

export const encap: Shape<KeyModel> = {
  print(value, mask, _exact, context) {
    if (value.length === 0) return '';
    return context.attributes(value, mask !== undefined && mask.length > 0 ? mask : undefined, context);
  },
  parse(type, scan, key, mask, context) {
    if (context.depth + 1 === MAX_NESTING) {
      scan.fail(`at most ${MAX_NESTING - 1} levels of encap()`, 'EINVAL', scan.position - 'encap('.length);
    }
    context.depth++;
    const keyMark = key.begin(type);
    const maskMark = mask?.begin(type) ?? 0;
    for (;;) {
      scan.skipDelimiters();
      if (scan.accept(')')) break;
      context.attribute(scan, key, mask, context);
      checkSize(key.length - keyMark, scan);
    }
    endNested(key, keyMark, scan);
    if (mask !== undefined) endNested(mask, maskMark, scan);
    context.depth--;
  },
  decode: (value, nested) => nested(value),
  encode(type, model, out, what, nested) {
    const mark = out.begin(type);
    nested(model, out, what);
    out.end(mark);
  },
  text: 'attributes',
};
