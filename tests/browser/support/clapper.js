// A clapperboard: a page whose video flashes and whose audio beeps at the same instants, once a second, and that records when
// it plays them, from the relay and from a connection of its own without a relay.

/**
 * The page. `open()` opens the source; `publish(endpoint, {red})` sends it, `watch(endpoint, {red})` plays a stream and
 * `watchDirectly()` the source over a connection without a relay, all by number; `facts(number)` returns what a viewer
 * played: flashes in milliseconds of the page's clock, beeps in milliseconds of its audio clock. The clocks differ, so
 * compare two viewers' flashes, and two viewers' beeps.
 */
export const CLAPPER_PAGE = `<!doctype html><title>clapper</title><body><script>
  const LENGTH = 0.1, EVERY = 1;
  const EAR = \`
    registerProcessor('ear', class extends AudioWorkletProcessor {
      process([[samples]]) {
        for (let at = 0; at < (samples?.length ?? 0); at += 1) {
          if (Math.abs(samples[at]) < 0.2) continue;
          const heard = currentTime + at / sampleRate;
          if (!(heard - this.last < 0.3)) this.port.postMessage(heard * 1000);
          this.last = heard;
        }
        return true;
      }
    });\`;
  const connections = [];
  let sound, source;

  async function open() {
    sound = new AudioContext({ sampleRate: 48000 });
    await sound.resume();
    await sound.audioWorklet.addModule(URL.createObjectURL(new Blob([EAR], { type: 'text/javascript' })));
    const out = sound.createMediaStreamDestination();
    const voice = (frequency, level) => {
      const tone = new OscillatorNode(sound, { frequency });
      const gain = new GainNode(sound, { gain: level });
      tone.connect(gain).connect(out);
      tone.start();
      return gain.gain;
    };
    voice(300, 0.02); // the loss of silence would not be heard
    const beep = voice(1000, 0);
    const canvas = document.createElement('canvas');
    [canvas.width, canvas.height] = [320, 180];
    const brush = canvas.getContext('2d');
    let next = Math.ceil(sound.currentTime) + 1;
    setInterval(() => {
      const now = sound.currentTime;
      if (next < now + 0.5) {
        beep.setValueAtTime(0.6, next);
        beep.setValueAtTime(0, next + LENGTH);
        next += EVERY;
      }
      brush.fillStyle = now % EVERY < LENGTH ? 'white' : 'black';
      brush.fillRect(0, 0, 320, 180);
      brush.fillStyle = 'gray';
      brush.fillRect((now * 100) % 320, 170, 10, 10);
    }, 1000 / 60);
    source = new MediaStream([...canvas.captureStream(30).getTracks(), ...out.stream.getTracks()]);
  }

  function transceive(peer, direction, red) {
    for (const kind of ['audio', 'video']) {
      const track = direction === 'sendonly' && source.getTracks().find((track) => track.kind === kind);
      const transceiver = peer.addTransceiver(track || kind, { direction, ...(track && { streams: [source] }) });
      if (kind === 'video') continue;
      const { codecs } = RTCRtpReceiver.getCapabilities(kind);
      const isRed = ({ mimeType }) => mimeType === 'audio/red';
      transceiver.setCodecPreferences([...(red ? codecs.filter(isRed) : []), ...codecs.filter((codec) => !isRed(codec))]);
    }
  }

  async function join(peer, endpoint) {
    await peer.setLocalDescription();
    const headers = { 'content-type': 'application/sdp' };
    const response = await fetch(endpoint, { method: 'POST', headers, body: peer.localDescription.sdp });
    const answer = await response.text();
    if (response.status !== 201) throw new Error(response.status + ' ' + answer);
    await peer.setRemoteDescription({ type: 'answer', sdp: answer });
  }

  async function publish(endpoint, { red = true } = {}) {
    const peer = new RTCPeerConnection();
    transceive(peer, 'sendonly', red);
    await join(peer, endpoint);
    return connections.push({ peer }) - 1;
  }

  async function watch(endpoint, { red = true } = {}) {
    const peer = new RTCPeerConnection();
    const number = observe(peer);
    transceive(peer, 'recvonly', red);
    await join(peer, endpoint);
    return number;
  }

  async function watchDirectly() {
    const [from, to] = [new RTCPeerConnection(), new RTCPeerConnection()];
    const number = observe(to);
    for (const [peer, other] of [[from, to], [to, from]]) peer.onicecandidate = ({ candidate }) => other.addIceCandidate(candidate);
    transceive(from, 'sendonly', true);
    await from.setLocalDescription();
    await to.setRemoteDescription(from.localDescription);
    await to.setLocalDescription();
    await from.setRemoteDescription(to.localDescription);
    connections[number].other = from;
    return number;
  }

  function observe(peer) {
    const viewer = { peer, flashes: [], beeps: [] };
    const video = document.createElement('video');
    video.autoplay = video.playsInline = true;
    video.volume = 0.01;
    video.width = 160;
    document.body.append(video);
    video.srcObject = new MediaStream();
    peer.ontrack = ({ track }) => {
      video.srcObject.addTrack(track);
      if (track.kind === 'video') return;
      const ear = new AudioWorkletNode(sound, 'ear');
      ear.port.onmessage = ({ data }) => viewer.beeps.push(data);
      sound.createMediaStreamSource(new MediaStream([track])).connect(ear);
    };
    const eye = new OffscreenCanvas(1, 1).getContext('2d', { willReadFrequently: true });
    let bright = false;
    const look = (now, { presentationTime }) => {
      eye.drawImage(video, 100, 50, 100, 50, 0, 0, 1, 1);
      const is = eye.getImageData(0, 0, 1, 1).data[0] > 127;
      if (is && !bright) viewer.flashes.push(presentationTime);
      bright = is;
      video.requestVideoFrameCallback(look);
    };
    video.requestVideoFrameCallback(look);
    return connections.push(viewer) - 1;
  }

  async function facts(number) {
    const { peer, flashes, beeps } = connections[number];
    const reports = [...(await peer.getStats()).values()];
    const inbound = Object.fromEntries(reports.filter((r) => r.type === 'inbound-rtp').map((r) => [r.kind, r]));
    const codecs = reports.filter((r) => r.type === 'codec').map((r) => r.mimeType);
    return { flashes, beeps, inbound, codecs, now: performance.now() };
  }

  function close(number) {
    connections[number].peer.close();
    connections[number].other?.close();
  }
</script>`;

/** One tab with the clapperboard. */
export class Clapper {
  static async open(t, browser, origin) {
    const clapper = new Clapper();
    clapper.context = await browser.newContext();
    clapper.tab = await clapper.context.newPage();
    t.after(() => clapper.context.close());
    await clapper.tab.goto(origin);
    await clapper.tab.evaluate(() => open());
    return clapper;
  }

  publish(endpoint, options = {}) {
    return this.tab.evaluate(([url, how]) => publish(url, how), [endpoint, options]);
  }

  watch(endpoint, options = {}) {
    return this.tab.evaluate(([url, how]) => watch(url, how), [endpoint, options]);
  }

  watchDirectly() {
    return this.tab.evaluate(() => watchDirectly());
  }

  facts(number) {
    return this.tab.evaluate((viewer) => facts(viewer), number);
  }

  close(number) {
    return this.tab.evaluate((connection) => close(connection), number);
  }
}

/** The median. */
export function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)];
}

/** How much later `ones` happened than those of `others` that are next to them in time. */
export function delays(ones, others) {
  const next = (one) => others.reduce((best, other) => (Math.abs(other - one) < Math.abs(best - one) ? other : best), Infinity);
  return ones.map((one) => one - next(one)).filter((delay) => Math.abs(delay) < 500);
}
