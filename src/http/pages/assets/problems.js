// What went wrong, in words that say what to do.

import { count, sentence } from './words.js';

/** Why a camera, microphone or screen could not be opened; `what` is "screen", "camera" or "microphone" and so on. */
export function captureProblem(error, what) {
  switch (error.name) {
    case 'NotAllowedError':
      return what === 'screen'
        ? 'The browser was not allowed to share a screen. Press Start and choose one; on a Mac, allow screen recording for the browser in the system settings.'
        : `The browser was not allowed to use the ${what}. Allow it with the icon beside the address, then press Start.`;
    case 'NotFoundError': return `This device has no ${what}. Connect one, turn it off in the form, or choose the test video.`;
    case 'NotReadableError': return `Another program uses the ${what}, or it does not answer. Close that program, then press Start.`;
    case 'OverconstrainedError': return `The chosen ${what} is not available. Choose another, then press Start.`;
    default: return sentence(error.message || 'The source could not be opened');
  }
}

/** Why the page cannot use cameras at all, and where it could; nothing if it can. */
export function insecure() {
  if (window.isSecureContext && navigator.mediaDevices) return undefined;
  const port = location.port ? `:${location.port}` : '';
  return 'Browsers give cameras, microphones and screens only to https and to http://localhost, and this page came over plain http from another '
    + `machine. Open http://localhost${port}${location.pathname} on the machine of the relay, or serve the relay by https: --domain NAME on the Internet, `
    + `--tls-self-signed in a local network, or a proxy with https in front of it. The test video works here.`;
}

/** Why the relay refused a session; the time of the next try is shown elsewhere. */
export function refusal(error) {
  switch (error.status) {
    case 0: return 'The relay cannot be reached. Is it running, and are you online?';
    case 409: return `This stream is in use: ${sentence(error.message)}`;
    case 429: return 'Too many requests from this address. The relay asks to wait.';
    case 503: return sentence(error.message);
    default: return error.status ? `The relay refused: ${sentence(error.message)}` : sentence(error.message);
  }
}

/** What a token form says: whether one was tried, and whether another would help. */
export function tokenProblem(error, tried, action) {
  if (error.status === 403) return `This token does not allow ${action} this stream. Use another.`;
  return tried ? 'The relay does not accept this token. Check it and try again.' : `The relay asks for a token for ${action} this stream.`;
}

const ENDINGS = {
  ended: 'The relay ended the session.',
  broken: 'The connection to the relay was lost.',
  blocked: 'No network path to the relay was found. A firewall may block the media port, or the relay may not know its public address.',
  deleted: 'A request to the relay ended this session.',
  kicked: 'An operator ended this session.',
  replaced: 'Another publisher has replaced this one.',
  publisher_gone: 'The publisher has not returned.',
  token_expired: 'The token has expired. Get a new one.',
  token_revoked: 'The token was revoked. Get a new one.',
  bitrate_exceeded: 'The encoder sent more than this relay allows. Set a lower bitrate.',
  codec_changed: 'The publisher has changed to another codec.',
  shutdown: 'The relay is stopping or restarting.',
  silent: 'The relay received nothing from this browser for half a minute.',
  flooded: 'The relay ended the session because it sent too much.',
  data_channel_misuse: 'The relay ended the session because of how it used data channels.',
  panicked: 'An internal error in the relay ended the session.',
};

/** A session is over: `how` as `lost` returns it, and the relay's reason and explanation if they are known. */
export class Ending extends Error {
  constructor(how, { reason, explanation } = {}) {
    const what = ENDINGS[reason] ?? ENDINGS[how];
    super(explanation ? `${what} The relay reports: ${sentence(explanation)}` : what);
    /** It was ended on purpose: coming back without the user would undo that. */
    this.isFinal = reason === 'kicked' || reason === 'replaced';
    /** There is no publisher: a page that is left open need not hurry back. */
    this.isAbsence = reason === 'publisher_gone';
  }
}

export const wantsToken = (error) => error?.status === 401 || error?.status === 403;

/** Refused for what the browser asked: asking again would not help. */
export const isHopeless = (error) => [400, 404, 405, 413, 415, 422].includes(error?.status);

export const nextTry = (seconds) => `Trying again in ${count(seconds, 'second')}.`;
