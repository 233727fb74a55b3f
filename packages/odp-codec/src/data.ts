/**
 * What the data path needs of the codec: where fields sit in packed rows, the numbers of attributes and actions, and
 * Netlink bytes. The same as in the package itself, without models and text, which a thread that forwards would load in
 * vain: each module costs a thread about a millisecond of its start.
 */
export * from './actions/attrs.js';
export * from './flow/fields.js';
export { tunnelToFlow } from './flow/tunnel.js';
export * from './key/attributes.js';
export { NLA_HEADER, NLA_MAX_PAYLOAD, NLA_TYPE_MASK, NlReader, NlWriter, nlAlign } from './netlink.js';
