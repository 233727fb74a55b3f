/**
 * @etherloom/netdev-linux: what I/O drivers for network devices of Linux share.
 *
 * Loading a driver's native binding, its errors as sentences, links over rtnetlink, names that users write, the control half of a device; and `native/common.h`, what the
 * bindings themselves share.
 */

export * from './data.js';
export { kernelError, namespaceError } from './errors.js';
export {
  changeLink,
  IFF_LOOPBACK,
  IFF_LOWER_UP,
  IFF_PROMISC,
  IFF_UP,
  type Link,
  type LinkChange,
  type LinkCounters,
  readLink,
} from './link.js';
export { checkName, namespacePath, parseEtheraddr } from './names.js';
export { type FlagChange, type LinuxDevice, LinuxNetdev, newCounters } from './netdev.js';
export {
  attributes,
  exchange,
  messageType,
  NLMSG_HDRLEN,
  Request,
  type Rtnetlink,
  RtnetlinkError,
} from './rtnetlink.js';
