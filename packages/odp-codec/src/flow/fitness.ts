/** How well a key fits what a flow key should contain (OVS: enum odp_key_fitness). */

/**
 * `too_much`: attributes that are not expected; `too_little`: attributes that are missing; `error`: contradictory or
 * malformed, and then `message` says what. A datapath that takes flows wants `perfect`.
 */
export type Fitness = 'perfect' | 'too_much' | 'too_little' | 'error';

export interface FitnessResult {
  readonly fitness: Fitness;
  readonly message?: string;
}

export const PERFECT: FitnessResult = Object.freeze({ fitness: 'perfect' });
export const TOO_MUCH: FitnessResult = Object.freeze({ fitness: 'too_much' });
export const TOO_LITTLE: FitnessResult = Object.freeze({ fitness: 'too_little' });
export const failed = (message: string): FitnessResult => ({ fitness: 'error', message });
