// The tools themselves, so that a failure of Chromium or FFmpeg is not taken for one of the relay.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { launchChromium, Page } from '../support/chromium.js';
import { publishWithFfmpeg } from '../support/ffmpeg.js';
import { serve, servePage } from '../support/http_server.js';

let browser;
before(async () => (browser = await launchChromium()));
after(() => browser.close());

test('two connections in one Chromium page play a fake camera to each other over loopback', async (t) => {
  const url = await servePage(t, '<video autoplay muted></video>');
  const page = await Page.open(t, browser, url);
  await page.tab.evaluate(async () => {
    const [sender, receiver] = [new RTCPeerConnection(), new RTCPeerConnection()];
    sender.onicecandidate = ({ candidate }) => candidate && receiver.addIceCandidate(candidate);
    receiver.onicecandidate = ({ candidate }) => candidate && sender.addIceCandidate(candidate);
    receiver.ontrack = ({ streams }) => (document.querySelector('video').srcObject = streams[0]);
    const camera = await navigator.mediaDevices.getUserMedia({ video: { width: 640, height: 480 }, audio: true });
    for (const track of camera.getTracks()) sender.addTrack(track, camera);
    await sender.setLocalDescription();
    await receiver.setRemoteDescription(sender.localDescription);
    await receiver.setLocalDescription();
    await sender.setRemoteDescription(receiver.localDescription);
  });
  const { inbound, transport } = await page.framesDecoded(10);
  assert.ok(inbound.video.frameWidth > 0 && inbound.audio.packetsReceived > 0);
  assert.match(transport.srtpCipher, /AES/);
});

test('FFmpeg posts an offer with H.264 and Opus and gives up when it is refused', async (t) => {
  let offer = '';
  const url = await serve(t, (request, response) => {
    request.setEncoding('utf8').on('data', (text) => (offer += text));
    request.on('end', () => response.writeHead(422).end());
  });
  const { code } = await publishWithFfmpeg(t, `${url}/whip/refused`).ended();
  assert.notEqual(code, 0);
  assert.match(offer, /a=rtpmap:\d+ H264\/90000/);
  assert.match(offer, /a=rtpmap:\d+ opus\/48000\/2/i);
});
