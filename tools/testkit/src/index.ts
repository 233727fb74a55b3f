/**
 * What the tests share: privileges of the machine, scratch network namespaces, frames built without the code under
 * test, and examples of READMEs. Depends on no package of the project, so that any of them can use it.
 */

export * from './addresses.js';
export * from './fds.js';
export * from './frames.js';
export * from './hex.js';
export * from './netns.js';
export * from './privileges.js';
export * from './readme.js';
export * from './run.js';
