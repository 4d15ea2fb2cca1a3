// A client behind a router, in network namespaces of its own. Two ways lead from the client to the router, as Wi-Fi and a
// mobile network do, and one from there to the relay, which runs in the namespace of this process. Namespaces have no
// names: they live as long as the programs in them, so nothing is left of them however a test ends.
//
//     client 10.77.1.2 ---- wifi   10.77.1.1 router 10.77.0.2 ---- relay 10.77.0.1
//            10.77.2.2 ---- mobile 10.77.2.1
//
// Needs the right to make namespaces: tests/networks gives it.

import { execFileSync } from 'node:child_process';
import { mkdtempSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';

import { Child } from './child.js';
import { until } from './until.js';

/** The address at which the relay listens, for HTTP and media. */
export const RELAY = '10.77.0.1';

const WAYS = { wifi: { net: '10.77.1', metric: 100 }, mobile: { net: '10.77.2', metric: 200 } };
/** A command. Link-local addresses come seconds after the link, and each change of addresses ends requests of the browser. */
export const NO_IPV6 = 'echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6';

/** The network of the client to which one of its addresses belongs, perhaps with a port: `wifi` or `mobile`. */
export const wayOf = (address) => Object.keys(WAYS).find((name) => address.startsWith(`${WAYS[name].net}.`));

// Prints the time of each STUN request that arrives at the router from the client: milliseconds since 1970, protocol, address.
const WATCH_CHECKS = `
import socket, time
packets = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0800))
print("watching", flush=True)
while True:
    packet, (interface, *_) = packets.recvfrom(2048)
    if interface == "uplink":
        continue
    packet = packet[14:]
    at, protocol, rest = time.time() * 1000, packet[9], packet[(packet[0] & 15) * 4:]
    payload = rest[8:] if protocol == 17 else rest[(rest[12] >> 4) * 4 + 2:] if protocol == 6 else b""
    if payload[:2] == b"\\0\\1" and payload[4:8] == b"\\x21\\x12\\xa4\\x42":
        print(at, "udp" if protocol == 17 else "tcp", socket.inet_ntoa(packet[12:16]), flush=True)
`;

export class Network {
  #router;
  #client;
  #watching;
  #directory;

  /** Opens it for the test `t`, which closes it at its end. With `onlyWifi` the client has no mobile network until it leaves the Wi-Fi. */
  static async open(t, { onlyWifi = false } = {}) {
    const network = new Network();
    t.after(() => network.#close());
    network.#router = await namespace();
    network.#client = await namespace();
    await network.#connect();
    network.#up('wifi');
    if (!onlyWifi) network.#up('mobile');
    return network;
  }

  async #connect() {
    const own = (words) => execFileSync('ip', words.split(' '));
    execFileSync('sh', ['-c', NO_IPV6]);
    own('link set lo up');
    own(`link add name relay type veth peer name uplink netns ${this.#router.pid}`);
    own(`address add ${RELAY}/24 dev relay`);
    own('link set relay up');
    own('route add 10.77.0.0/16 via 10.77.0.2');
    this.#onRouter(NO_IPV6, 'ip link set lo up', 'ip address add 10.77.0.2/24 dev uplink', 'ip link set uplink up', 'echo 1 > /proc/sys/net/ipv4/ip_forward');
    this.#onClient(NO_IPV6, 'ip link set lo up');
    for (const [name, { net }] of Object.entries(WAYS)) {
      this.#onRouter(`ip link add name ${name} type veth peer name ${name} netns ${this.#client.pid}`, `ip address add ${net}.1/24 dev ${name}`, `ip link set ${name} up`);
    }
  }

  #up(name) {
    const { net, metric } = WAYS[name];
    this.#onClient(`ip address add ${net}.2/24 dev ${name}`, `ip link set ${name} up`, `ip route add default via ${net}.1 dev ${name} metric ${metric}`);
  }

  /** The client leaves one of its networks, and has the other one at once if it did not have it before. */
  leave(way) {
    this.#onClient(`ip link set ${way} down`, `ip address flush dev ${way}`);
    const other = way === 'wifi' ? 'mobile' : 'wifi';
    if (!this.#onClient('ip route').includes(other)) this.#up(other);
  }

  /** From now on the router drops what the client sends by these protocols to a port of the relay, or to all; it tells neither side. */
  block(protocols, port) {
    for (const protocol of protocols) this.#onRouter(`ip rule add pref 10 ipproto ${protocol} ${port ? `dport ${port}` : ''} blackhole`);
  }

  /** The path of a program that starts `program` at the client. */
  programAtClient(program) {
    this.#directory ??= mkdtempSync(join(tmpdir(), 'sluice-network-'));
    const path = join(this.#directory, basename(program));
    writeFileSync(path, `#!/bin/sh\nexec nsenter --net=/proc/${this.#client.pid}/ns/net -- "${program}" "$@"\n`, { mode: 0o755 });
    return path;
  }

  /** Watches for checks of ICE that the client sends. Returns a function that lists them: `{at, protocol, remote}`. */
  async watchChecks() {
    const child = this.#watching = new Child('nsenter', [`--net=/proc/${this.#router.pid}/ns/net`, 'python3', '-c', WATCH_CHECKS]);
    await until('checks are watched for', () => child.output.startsWith('watching\n'), { every: 20 });
    const lines = () => child.output.split('\n').slice(1, -1).map((line) => line.split(' '));
    return () => lines().map(([at, protocol, remote]) => ({ at: Number(at), protocol, remote }));
  }

  #onRouter(...commands) {
    return inside(this.#router, commands);
  }

  #onClient(...commands) {
    return inside(this.#client, commands);
  }

  async #close() {
    const programs = [this.#watching, this.#client, this.#router].filter(Boolean);
    await Promise.all(programs.map((program) => program.stop('SIGKILL')));
    // The kernel removes it with the router's namespace, a little later.
    await until('the link to the router has gone', () => !execFileSync('ip', ['-brief', 'link'], { encoding: 'utf8' }).includes('relay@'));
    if (this.#directory) rmSync(this.#directory, { recursive: true });
  }
}

/** A new namespace, which ends with the returned program. */
export async function namespace() {
  const child = new Child('unshare', ['--net', 'sleep', 'infinity']);
  const of = (pid) => readlinkSync(`/proc/${pid}/ns/net`);
  await until('the namespace is there', () => of(child.pid) !== of('self'), { every: 5 });
  return child;
}

/** Runs commands of a shell in a namespace, and returns what they print. */
export function inside({ pid }, commands) {
  return execFileSync('nsenter', [`--net=/proc/${pid}/ns/net`, 'sh', '-euc', commands.join('\n')], { encoding: 'utf8' });
}
