/** What queues of drivers need, in whichever thread they are: nothing else of the package is loaded there. */

export { isSystemError, loadBinding, type SystemError } from './binding.js';
export { STATE_CLOSED, STATE_MTU, STATE_WORDS } from './state.hot.js';
