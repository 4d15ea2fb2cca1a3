// aiortc (PyPI): independent ICE, DTLS and SRTP in Python, FFmpeg's codecs.

import { ProgramClient } from '../support/program.js';

const PYTHON = process.env.AIORTC_PYTHON ?? new URL('../../.tools/aiortc/bin/python', import.meta.url).pathname;
const PROGRAM = new URL('client.py', import.meta.url).pathname;

const client = (role, verb, { video, audio = true }) => new ProgramClient('aiortc', role, PYTHON, [
  PROGRAM, verb, ...(video ? ['--video', video] : []), ...(audio ? ['--audio'] : []),
], { video, audio });

export const publish = ({ video = 'VP8', audio } = {}) => client('publisher', 'publish', { video, audio });
export const watch = ({ video = true, audio } = {}) => client('viewer', 'watch', { video: video && 'any', audio });
