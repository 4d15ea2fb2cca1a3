// A client that is a program of its own: it prints facts, one JSON object a line, and ends its session upon SIGTERM.
//
// Facts: `connected`, `media` (`kind`, `codec`, `after_ms` since its POST) with the first of each kind, `proof` (`text`)
// once it has seen enough, `failed` (`why`), and `ports` from a publisher that takes RTP on loopback.

import { Child } from '../../browser/support/child.js';
import { runFfmpeg } from '../../browser/support/ffmpeg.js';
import { until } from '../../browser/support/until.js';

export class Program {
  constructor(scene, command, args, env) {
    this.child = new Child(command, args, { env });
    scene.after(async () => {
      if (!this.child.hasEnded) await this.child.stop('SIGKILL');
      if (!scene.passed) scene.diagnostic(`${command} ${args.join(' ')}:\n${this.child.output.slice(-3000)}`);
    });
  }

  /** All facts of that name so far. */
  facts(name) {
    const lines = this.child.output.split('\n').slice(0, -1).filter((line) => line.startsWith('{"fact"'));
    return lines.map((line) => JSON.parse(line)).filter(({ fact }) => fact === name);
  }

  /** Waits for `count` facts of that name and returns the last. */
  async fact(name, count = 1, timeout = 30_000) {
    const [failed] = await until(`${count} x ${name}`, () => {
      const failures = this.facts('failed');
      if (failures.length > 0) return failures;
      if (this.child.hasEnded) return [{ why: 'it ended by itself' }];
      return this.facts(name).length >= count && [null];
    }, { timeout });
    if (failed) throw new Error(`${failed.why}; its last words:\n${this.child.output.slice(-1500)}`);
    return this.facts(name).at(-1);
  }

  /** Ends it as a user does: it must end its session and exit with 0. */
  async end() {
    const { code, signal } = await this.child.stop('SIGTERM', 10_000);
    if (code !== 0) throw new Error(`it ended with ${code ?? signal} instead of 0`);
  }

  /** Kills it, as a crash does. */
  kill() {
    return this.child.stop('SIGKILL');
  }
}

/** A publisher or viewer that is a program with these conventions. */
export class ProgramClient {
  constructor(client, role, command, args, { video, audio, env }) {
    Object.assign(this, { client, role, command, args, video, audio, env });
  }

  async begin(scene) {
    const url = `${scene.url}/${this.role === 'publisher' ? 'whip' : 'whep'}/${scene.stream}`;
    this.program = new Program(scene, this.command, [...this.args, '--expect', scene.kinds(this).join(), url], this.env);
    await this.feed?.(scene, await this.program.fact(this.feed ? 'ports' : 'connected'));
    await this.program.fact('connected');
  }

  /** Resolves to what it saw, once that is enough. */
  async prove() {
    if (this.feed && !this.reports) return { text: 'media comes in' };
    const { text } = await this.program.fact('proof');
    const media = this.program.facts('media');
    const times = media.map(({ after_ms }) => after_ms).filter(Number.isFinite);
    return { text, codecs: media.map(({ codec }) => codec).filter(Boolean), firstMedia: times.length ? Math.min(...times) : undefined };
  }

  /** Waits until more media has arrived since this was called. */
  more() {
    return this.program.fact('proof', this.program.facts('proof').length + 1);
  }

  end() {
    return this.program.end();
  }

  kill() {
    return this.program.kill();
  }
}

const ENCODERS = {
  video: ['-re', '-f', 'lavfi', '-i', 'testsrc2=size=320x180:rate=15', '-c:v', 'libx264', '-preset', 'ultrafast', '-tune', 'zerolatency',
    '-profile:v', 'baseline', '-bf', '0', '-g', '30', '-pix_fmt', 'yuv420p', '-bsf:v', 'dump_extra'],
  audio: ['-re', '-f', 'lavfi', '-i', 'sine=frequency=440:sample_rate=48000', '-c:a', 'libopus', '-ac', '2'],
};

/** Encodes for a publisher that does not: FFmpeg sends RTP to each of the ports that it printed. */
export async function feedWithFfmpeg(scene, ports) {
  for (const [kind, encoder] of Object.entries(ENCODERS)) {
    if (!(kind in ports)) continue;
    const target = `rtp://127.0.0.1:${ports[kind]}?pkt_size=1200`;
    runFfmpeg(scene, ['-hide_banner', '-nostdin', '-loglevel', 'error', ...encoder, '-f', 'rtp', '-rtpflags', 'skip_rtcp', '-sdp_file', '/dev/null', target]);
  }
}
