// One headless Firefox with a fake camera and microphone, driven by Marionette, and its windows.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { Child } from '../../browser/support/child.js';
import { until } from '../../browser/support/until.js';
import { Marionette } from './marionette.js';

const EXECUTABLE = process.env.FIREFOX ?? 'firefox-esr';

// The first lines are what WebRTC needs without hardware and without a person; the rest keeps Firefox from showing tours
// and from calling home, which a closed network refuses.
const PREFERENCES = {
  'media.navigator.streams.fake': true,
  'media.navigator.permission.disabled': true,
  'media.autoplay.default': 0,
  'marionette.port': 0,
  'remote.prefs.recommended': true,
  'browser.startup.page': 0,
  'browser.startup.homepage_override.mstone': 'ignore',
  'browser.aboutwelcome.enabled': false,
  'browser.shell.checkDefaultBrowser': false,
  'datareporting.policy.dataSubmissionEnabled': false,
  'app.update.enabled': false,
  'media.gmp-manager.updateEnabled': false,
  'network.captive-portal-service.enabled': false,
  'network.connectivity-service.enabled': false,
};

export class Firefox {
  #turn = Promise.resolve();

  /** Starts it, with more preferences if there are any. */
  static async launch(preferences = {}) {
    const firefox = new Firefox();
    firefox.profile = mkdtempSync(join(tmpdir(), 'sluice-firefox-'));
    const lines = Object.entries({ ...PREFERENCES, ...preferences }).map(([name, value]) => `user_pref(${JSON.stringify(name)}, ${JSON.stringify(value)});\n`);
    writeFileSync(join(firefox.profile, 'user.js'), lines.join(''));
    const args = ['--headless', '--no-remote', '--marionette', '--profile', firefox.profile];
    firefox.child = new Child(EXECUTABLE, args, { env: { HOME: firefox.profile, MOZ_CRASHREPORTER_DISABLE: '1' } });
    const port = await until('Firefox listens', () => {
      if (firefox.child.hasEnded) return -1;
      return Number(readFileSync(join(firefox.profile, 'MarionetteActivePort'), 'utf8'));
    }, { timeout: 60_000 });
    if (port < 0) throw new Error(`Firefox ended at once:\n${firefox.child.output.slice(-2000)}`);
    firefox.marionette = await Marionette.connect(port);
    const { capabilities } = await firefox.marionette.send('WebDriver:NewSession');
    firefox.version = capabilities.browserVersion;
    [firefox.first] = await firefox.marionette.send('WebDriver:GetWindowHandles');
    await firefox.marionette.send('WebDriver:SetTimeouts', { script: 30_000, pageLoad: 60_000 });
    return firefox;
  }

  /** Opens a window of its own with that address. */
  async open(url) {
    return this.#alone(async (send) => {
      await send('WebDriver:SwitchToWindow', { handle: this.first, focus: false });
      const { handle } = await send('WebDriver:NewWindow', { type: 'window' });
      await send('WebDriver:SwitchToWindow', { handle });
      await send('WebDriver:Navigate', { url });
      return new Window(this, handle);
    });
  }

  /** Runs `work` with that window in front. */
  within(handle, work) {
    return this.#alone(async (send) => {
      await send('WebDriver:SwitchToWindow', { handle, focus: false });
      return work(send);
    });
  }

  async close() {
    this.marionette?.close();
    await this.child.stop('SIGTERM', 10_000);
    rmSync(this.profile, { recursive: true, force: true, maxRetries: 5 });
  }

  /** One at a time: Marionette has one window in front. */
  #alone(work) {
    const mine = this.#turn.then(() => work((command, parameters) => this.marionette.send(command, parameters)));
    this.#turn = mine.catch(() => {});
    return mine;
  }
}

class Window {
  constructor(firefox, handle) {
    Object.assign(this, { firefox, handle });
  }

  /** Runs a function of the page with one argument; resolves to what it resolves to. */
  async evaluate(run, argument) {
    const script = `const done = arguments[1]; Promise.resolve((${run})(arguments[0])).then((value) => done({ value }), (error) => done({ error: String(error) }));`;
    const { value } = await this.firefox.within(this.handle, (send) =>
      send('WebDriver:ExecuteAsyncScript', { script, args: [argument ?? null], sandbox: null }));
    if (value?.error) throw new Error(value.error);
    return value?.value;
  }

  /** Leaves the page as a person does. */
  close() {
    return this.firefox.within(this.handle, (send) => send('WebDriver:CloseWindow'));
  }
}
