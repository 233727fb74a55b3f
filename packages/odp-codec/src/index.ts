/**
 * Open vSwitch datapath keys and actions in three forms: Netlink bytes, a typed model and dpctl text, with the bridge
 * to the packed rows of the hot path. No dependency, no Node API.
 */
export * from './actions/index.js';
export * from './errors.js';
export * from './flow/fields.js';
export type { Fitness, FitnessResult } from './flow/fitness.js';
export { appendFlowKey, type FlowSupport, flowToKey, flowToMask } from './flow/flow-to-key.js';
export { type FormRow, type KeyForm, KeyForms } from './flow/key-forms.js';
export { keyToFlow, MAX_VLANS, maskToFlow } from './flow/key-to-flow.js';
export { flowToMetadataKey, metadataFromKey } from './flow/metadata.js';
export { RowForms } from './flow/row-forms.js';
export * from './key/attributes.js';
export { formatFlowKey, formatKeyAttr } from './key/format.js';
export { decodeKey, encodeKey } from './key/model.js';
export { parseFlowKey, parseFlowKeyExact, parseKeyAttrAt } from './key/parse.js';
export { KEY_ATTRIBUTES, type KeyModel, keyTable } from './key/schema.js';
export { NLA_HEADER, NLA_MAX_PAYLOAD, NLA_TYPE_MASK, NlReader, NlWriter, nlAlign } from './netlink.js';
export type { FlagNames, Masked } from './text/flags.js';
export { type Flow, formatFlow, formatFlowStats, parseFlowLine } from './text/flow-line.js';
export * from './text/options.js';
export * from './text/scanner.js';
