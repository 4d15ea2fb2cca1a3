// Browsers that use relayed candidates alone, and which pair of candidates a page uses.

import { Page } from './chromium.js';

/** Runs in the page: its connections use relayed candidates alone, as where only TURN passes. */
function useTurnAlone() {
  window.RTCPeerConnection = class extends window.RTCPeerConnection {
    constructor(configuration) {
      super({ ...configuration, iceTransportPolicy: 'relay' });
    }
  };
}

/** Options for `Page.open`: a page that uses relayed candidates alone. */
export const byTurnAlone = { prepare: (tab) => tab.addInitScript(useTurnAlone) };

/** The pair that carries the media of the page: `relay by tls`, `direct by udp` and the like. */
export const selectedPair = (page) =>
  page.tab.evaluate(async () => {
    const reports = await window.peerConnections.at(-1).getStats();
    const { selectedCandidatePairId } = [...reports.values()].find((report) => report.type === 'transport');
    const { localCandidateId, remoteCandidateId } = reports.get(selectedCandidatePairId);
    const { candidateType, relayProtocol } = reports.get(localCandidateId);
    return relayProtocol ? `${candidateType} by ${relayProtocol}` : `direct by ${reports.get(remoteCandidateId).protocol}`;
  });

/** Opens a publisher and a viewer of the relay at `url` and waits until the viewer plays video and audio. */
export async function playing(t, browser, url, options) {
  const publisher = await Page.open(t, browser, `${url}/publish/cam?source=test&autostart=1&width=320&height=180&rate=15`, options);
  const viewer = await Page.open(t, browser, `${url}/watch/cam`, options);
  await viewer.framesDecoded(30);
  await viewer.hears();
  return [publisher, viewer];
}
