// werift (npm): ICE, DTLS and SRTP in TypeScript; publishes what FFmpeg has encoded.

import { feedWithFfmpeg, ProgramClient } from '../support/program.js';

const PROGRAM = new URL('client.js', import.meta.url).pathname;

const client = (role, verb, { video, audio = true }) => new ProgramClient('werift', role, process.execPath, [
  PROGRAM, verb, ...(video ? ['--video', video] : []), ...(audio ? ['--audio'] : []),
], { video, audio });

export const publish = ({ video = 'H264', audio } = {}) => Object.assign(client('publisher', 'publish', { video, audio }), { feed: feedWithFfmpeg });
export const watch = ({ video = true, audio } = {}) => client('viewer', 'watch', { video: video && 'any', audio });
