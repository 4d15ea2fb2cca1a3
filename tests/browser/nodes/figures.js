// What a row requires, beside `atMost`.

import { atMost } from '../support/table.js';

/** What a row needs is not there yet. */
export class Missing extends Error {}

/** Something that must be so. */
export const holds = (what, is) => ({ what, figure: is ? 'yes' : 'no', passed: is });

/** Something that must not happen. */
export const none = (what, count) => atMost(what, count, 0, '');
