// Figures as text for the user.

export const bitrate = (bitsPerSecond) => {
  if (bitsPerSecond < 999_500) return `${Math.round(bitsPerSecond / 1000)} kbit/s`;
  return `${(bitsPerSecond / 1e6).toFixed(bitsPerSecond < 9.95e6 ? 1 : 0)} Mbit/s`;
};

export const milliseconds = (seconds) => (seconds < 0.0005 ? '< 1 ms' : `${Math.round(seconds * 1000)} ms`);

export const seconds = (value) => `${value.toFixed(value < 9.95 ? 1 : 0)} s`;

export const percent = (ratio) => `${(ratio * 100).toFixed(ratio < 0.0995 ? 1 : 0)} %`;

export const size = (width, height) => `${width} × ${height}`;

export const count = (number, one, many = `${one}s`) => `${number} ${number === 1 ? one : many}`;

/** Time in its two largest units: `42 s`, `3 min 5 s`, `2 h 10 min`, `4 d 3 h`. */
export function duration(value) {
  const whole = Math.max(0, Math.floor(value));
  const units = [[86_400, 'd'], [3600, 'h'], [60, 'min'], [1, 's']];
  const first = units.findIndex(([length]) => whole >= length);
  if (first < 0) return '0 s';
  const parts = units.slice(first, first + 2).map(([length, name], index) => {
    const left = index ? whole % units[first][0] : whole;
    return [Math.floor(left / length), name];
  });
  return parts.filter(([number], index) => !index || number).map(([number, name]) => `${number} ${name}`).join(' ');
}

const CODECS = { h264: 'H.264', h265: 'H.265', opus: 'Opus', multiopus: 'Opus surround', g722: 'G.722' };

/** The name of a codec, from its MIME type or its name in SDP. */
export function codec(type) {
  const name = type.split('/').pop();
  return CODECS[name.toLowerCase()] ?? name.toUpperCase();
}

export const sentence = (text) => text.charAt(0).toUpperCase() + text.slice(1).replace(/\.?$/, '.');
