// What is published: camera and microphone, a screen, or the test video; and the choice of devices.

import { element, query, stream } from './page.js';
import { captureProblem, insecure } from './problems.js';
import { testVideo } from './test-video.js';

const OFF = 'off';
const LISTS = [['camera', 'videoinput', 'camera'], ['microphone', 'audioinput', 'microphone']];

const kind = () => element('source').value;
const chosen = (id) => element(id).value;

/** What the form asks for; of the address, ?rate=, audio=0 and video=0 count too. */
function wishes() {
  const [width, height] = chosen('size').split('x').map(Number);
  const off = (id) => kind() === 'camera' && chosen(id) === OFF;
  return {
    width, height, rate: Number(query.get('rate')) || 30, name: stream,
    audio: query.get('audio') !== '0' && !off('microphone'),
    video: query.get('video') !== '0' && !off('camera'),
  };
}

/** Opens what is chosen: `{stream, stop}`. Throws an Error whose message is for the user. */
export async function openSource() {
  const wish = wishes();
  if (kind() === 'test') return testVideo(wish);
  const problem = insecure();
  if (problem) throw new Error(problem);
  if (!wish.audio && !wish.video) throw new Error('Neither camera nor microphone is chosen. Choose one of them.');
  const what = kind() === 'screen' ? 'screen' : [wish.video && 'camera', wish.audio && 'microphone'].filter(Boolean).join(' and ');
  try {
    const taken = await (kind() === 'screen' ? openScreen(wish) : openDevices(wish));
    return { stream: taken, stop: () => taken.getTracks().forEach((track) => track.stop()) };
  } catch (error) {
    throw new Error(captureProblem(error, what), { cause: error });
  }
}

function openScreen({ rate, audio }) {
  return navigator.mediaDevices.getDisplayMedia({ video: { frameRate: { ideal: rate } }, audio });
}

async function openDevices({ width, height, rate, audio, video }) {
  const device = (id) => (chosen(id) ? { deviceId: { exact: chosen(id) } } : {});
  const size = { width: { ideal: width }, height: { ideal: height }, frameRate: { ideal: rate } };
  const taken = await navigator.mediaDevices.getUserMedia({
    video: video && { ...size, ...device('camera') },
    audio: audio && { ...device('microphone') },
  });
  await listDevices();
  for (const track of taken.getTracks()) {
    const used = track.getSettings().deviceId;
    const list = element(track.kind === 'video' ? 'camera' : 'microphone');
    if ([...list.options].some(({ value }) => value === used)) list.value = used;
  }
  return taken;
}

/** Browsers name devices only once one was allowed; until then there is the default one. */
export async function listDevices() {
  if (!navigator.mediaDevices?.enumerateDevices) return;
  const devices = await navigator.mediaDevices.enumerateDevices();
  for (const [id, type, name] of LISTS) {
    const known = devices.filter((device) => device.kind === type && device.deviceId && device.label);
    const { value } = element(id);
    element(id).replaceChildren(
      ...(known.length ? [] : [new Option(`Default ${name}`, '')]),
      ...known.map(({ label, deviceId }) => new Option(label, deviceId)),
      new Option(`No ${name}`, OFF),
    );
    if ([...element(id).options].some((option) => option.value === value)) element(id).value = value;
  }
}

/** Shows the choices that go with the source. */
export function showChoices() {
  element('devices').hidden = kind() !== 'camera';
  element('size-field').hidden = kind() === 'screen';
}

/** Makes the form ready: sizes, devices, and what the address has chosen. */
export function prepareSource() {
  const problem = insecure();
  if (problem) {
    for (const option of element('source').options) option.disabled = option.value !== 'test';
    element('source').value = 'test';
    element('insecure').hidden = false;
    element('insecure').textContent = problem;
  }
  const asked = query.get('source');
  if ([...element('source').options].some(({ value, disabled }) => value === asked && !disabled)) element('source').value = asked;
  const size = `${Number(query.get('width')) || 1280}x${Number(query.get('height')) || 720}`;
  if (![...element('size').options].some(({ value }) => value === size)) element('size').add(new Option(size.replace('x', ' × '), size));
  element('size').value = size;
  showChoices();
  listDevices();
  navigator.mediaDevices?.addEventListener?.('devicechange', listDevices);
}
