// Datagrams that reached this machine's UDP sockets and were dropped there, because a program was late to read them: a
// browser on a busy machine is.

import { readFileSync } from 'node:fs';

/** All such datagrams since the machine's start. */
export function socketDrops() {
  const [names, counts] = readFileSync('/proc/net/snmp', 'utf8').split('\n').filter((line) => line.startsWith('Udp:')).map((line) => line.split(' '));
  return Number(counts[names.indexOf('RcvbufErrors')]);
}

/** How many of the packets that a client misses were not dropped at a socket since `before`, an earlier count. */
export function lostOnTheWay(packetsLost, before) {
  return Math.max(0, packetsLost - (socketDrops() - before));
}
