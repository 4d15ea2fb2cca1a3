// GStreamer's whipclientsink, by the command that the first page shows. Its plugin is built from source, which takes
// minutes, so its round is played only when it is named.

import { GStreamer } from '../gstreamer/index.js';

export const publish = () => new GStreamer({
  client: 'whipclientsink', shown: 'gstreamer-sink', token: 'to-publish', env: { GST_PLUGIN_PATH: process.env.WHIPCLIENTSINK_PLUGIN ?? '' },
});
