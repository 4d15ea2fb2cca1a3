// Pion (Go): publishes what FFmpeg has encoded, and looks at every RTP packet that it gets.

import { feedWithFfmpeg, ProgramClient } from '../support/program.js';

const PROGRAM = process.env.PION_CLIENT ?? new URL('../../.tools/pion-client', import.meta.url).pathname;

const client = (role, verb, { video, audio = true }) => new ProgramClient('pion', role, PROGRAM, [
  verb, ...(video ? ['--video', video] : []), ...(audio ? ['--audio'] : []),
], { video, audio });

export const publish = ({ video = 'H264', audio } = {}) => Object.assign(client('publisher', 'publish', { video, audio }), { feed: feedWithFfmpeg, reports: true });
export const watch = ({ video = true, audio } = {}) => client('viewer', 'watch', { video: video && 'any', audio });
