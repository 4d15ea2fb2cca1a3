//! The program by which the kernel finds the socket of a listed client (classic BPF, `SO_ATTACH_REUSEPORT_CBPF`).
//!
//! A program of this kind has no tables, so the clients are in its instructions: a binary search by a key of address
//! and port, and beside each key the whole address, for a key may be of more than one. It takes no privilege and some
//! ten comparisons a datagram. A client that is not listed gets a number that no socket has; the kernel
//! then chooses by its hash, as without a program.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd;

use nix::libc::{
    BPF_ABS, BPF_ADD, BPF_ALU, BPF_AND, BPF_B, BPF_H, BPF_IMM, BPF_JA, BPF_JEQ, BPF_JGE, BPF_JMP, BPF_K, BPF_LD,
    BPF_LDX, BPF_MEM, BPF_MISC, BPF_MUL, BPF_RET, BPF_ST, BPF_TXA, BPF_W, BPF_X, sock_filter, sock_fprog,
};
use nix::sys::socket::{setsockopt, sockopt::AttachReusePortCbpf};

use crate::stream::WorkerId;

/// No socket has this number.
const BY_HASH: u32 = u32::MAX;

/// Offsets from here on are from the IP header (`linux/filter.h`).
const IP: u32 = -0x10_0000_i32 as u32;
/// RFC 791 3.1. Packets with options go by hash.
const V4_WITHOUT_OPTIONS: u32 = 0x45;
const V4_SOURCE: u32 = IP + 12;
const V4_PORT: u32 = IP + 20;
/// RFC 8200 3. Packets with extension headers go by hash.
const V6: u32 = 0x60;
const V6_NEXT: u32 = IP + 6;
const V6_SOURCE: u32 = IP + 8;
const V6_PORT: u32 = IP + 40;
const UDP: u32 = 17;

/// Keys are positive, which the kernel compares in fewer instructions.
const KEY: u32 = 0x7fff_ffff;

/// The number of clients that are compared one by one.
const LEAF: usize = 8;

/// Odd numbers that make keys and the words of IPv6 addresses; random and secret, or clients could choose addresses of
/// one key.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Secret([u32; 6]);

struct Entry {
    key: u32,
    word: u32,
    worker: u32,
}

impl Secret {
    /// Others for each program.
    pub(crate) fn random() -> Self {
        Self(rand::random::<[u32; 6]>().map(|number| number | 1))
    }

    /// An address in 32 bits: an IPv4 address itself.
    fn word(self, address: IpAddr) -> u32 {
        let Self([_, _, rest @ ..]) = self;
        match address.to_canonical() {
            IpAddr::V4(v4) => v4.into(),
            IpAddr::V6(v6) => {
                let octets = v6.octets();
                let words = octets.as_chunks::<4>().0.iter().map(|word| u32::from_be_bytes(*word));
                words.zip(rest).fold(0, |sum, (word, odd)| word.wrapping_mul(odd).wrapping_add(sum))
            }
        }
    }

    fn entry(self, remote: SocketAddr, worker: WorkerId) -> Entry {
        let Self([odd_word, odd_port, ..]) = self;
        let word = self.word(remote.ip());
        let key = word.wrapping_mul(odd_word).wrapping_add(u32::from(remote.port()).wrapping_mul(odd_port)) & KEY;
        Entry { key, word, worker: worker.0.into() }
    }
}

/// Attaches a program for these clients to all sockets of the port. A client's number is that of its socket, in the
/// order in which the sockets were bound.
///
/// # Errors
/// The kernel's, if it has no such programs or too little memory for this one.
pub(crate) fn attach(
    socket: &impl AsFd,
    secret: Secret,
    listed: impl Iterator<Item = (SocketAddr, WorkerId)>,
) -> io::Result<()> {
    let mut program = write(secret, listed.map(|(remote, worker)| secret.entry(remote, worker)).collect());
    let len = u16::try_from(program.len()).map_err(|_| io::ErrorKind::OutOfMemory)?;
    setsockopt(socket, AttachReusePortCbpf, &sock_fprog { len, filter: program.as_mut_ptr() })?;
    Ok(())
}

fn write(secret: Secret, mut entries: Vec<Entry>) -> Vec<sock_filter> {
    entries.sort_unstable_by_key(|entry| entry.key);
    entries.dedup_by_key(|entry| entry.key);
    let Secret([odd_word, odd_port, odd_words @ ..]) = secret;
    // 1. The word of an IPv6 address to M[0], the port to A.
    let mut v6 = vec![load(V6_NEXT, BPF_B), jump(BPF_JEQ, UDP, 1, 0), give(BY_HASH)];
    v6.extend([of(BPF_LD | BPF_IMM, 0), keep(0)]);
    for (place, odd) in (0..).zip(odd_words) {
        v6.extend([
            load(V6_SOURCE + 4 * place, BPF_W),
            multiply(odd),
            x_from(0),
            of(BPF_ALU | BPF_ADD | BPF_X, 0),
            keep(0),
        ]);
    }
    v6.push(load(V6_PORT, BPF_H));
    // 2. The same of an IPv4 address, whose word it is itself.
    let v4 = [load(V4_SOURCE, BPF_W), keep(0), load(V4_PORT, BPF_H), go_on(v6.len())];
    // 3. Which of them it is; neither goes by hash.
    let mut program = vec![load(IP, BPF_B), jump(BPF_JEQ, V4_WITHOUT_OPTIONS, 3, 0)];
    program.extend([of(BPF_ALU | BPF_AND | BPF_K, 0xf0), jump(BPF_JEQ, V6, 1 + v4.len(), 0), give(BY_HASH)]);
    program.extend(v4);
    program.extend(v6);
    // 4. The key to A, the word to X.
    program.extend([multiply(odd_port), keep(1), of(BPF_LD | BPF_MEM, 0), multiply(odd_word)]);
    program.extend([x_from(1), of(BPF_ALU | BPF_ADD | BPF_X, 0), of(BPF_ALU | BPF_AND | BPF_K, KEY), x_from(0)]);
    search(&entries, &mut program);
    program
}

/// Instructions that look for A among the keys, and for X beside it.
fn search(entries: &[Entry], program: &mut Vec<sock_filter>) {
    if entries.len() <= LEAF {
        for (place, Entry { key, word, worker }) in (1..).zip(entries) {
            let to_the_end = 1 + 4 * (entries.len() - place);
            program.extend([jump(BPF_JEQ, *key, 0, 3), of(BPF_MISC | BPF_TXA, 0)]);
            program.extend([jump(BPF_JEQ, *word, 0, to_the_end), give(*worker)]);
        }
        return program.push(give(BY_HASH));
    }
    let (low, high) = entries.split_at(entries.len() / 2);
    // A conditional jump reaches 255 instructions, the other one everything.
    program.push(jump(BPF_JGE, high[0].key, 0, 1));
    let place = program.len();
    program.push(go_on(0));
    search(low, program);
    program[place] = go_on(program.len() - place - 1);
    search(high, program);
}

fn of(code: u32, k: u32) -> sock_filter {
    sock_filter { code: code as u16, jt: 0, jf: 0, k }
}

/// From the packet to A.
fn load(offset: u32, size: u32) -> sock_filter {
    of(BPF_LD | BPF_ABS | size, offset)
}

/// From A to memory.
fn keep(place: u32) -> sock_filter {
    of(BPF_ST, place)
}

/// From memory to X.
fn x_from(place: u32) -> sock_filter {
    of(BPF_LDX | BPF_MEM, place)
}

fn multiply(odd: u32) -> sock_filter {
    of(BPF_ALU | BPF_MUL | BPF_K, odd)
}

/// Compares A with `k`, and skips this number of instructions.
fn jump(comparison: u32, k: u32, if_so: usize, else_: usize) -> sock_filter {
    let near = |distance: usize| u8::try_from(distance).expect("both ways are short");
    sock_filter { jt: near(if_so), jf: near(else_), ..of(BPF_JMP | BPF_K | comparison, k) }
}

/// Skips this number of instructions.
fn go_on(distance: usize) -> sock_filter {
    of(BPF_JMP | BPF_JA, distance as u32)
}

fn give(socket: u32) -> sock_filter {
    of(BPF_RET | BPF_K, socket)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::net::UdpSocket;
    use std::time::{Duration, Instant};

    use super::*;
    use crate::session::steering::CAPACITY;
    use crate::worker::net::socket::{Socket, bind};

    const SOCKETS: u16 = 3;

    /// Clients, and the sockets of one port.
    struct Port {
        sockets: Vec<Socket>,
        clients: Vec<UdpSocket>,
    }

    impl Port {
        fn new(address: &str) -> Self {
            let address: SocketAddr = address.parse().unwrap();
            let client = |_| UdpSocket::bind((address.ip(), 0)).unwrap();
            Self { sockets: bind(address, SOCKETS.into()).unwrap(), clients: (0..60).map(client).collect() }
        }

        /// Which socket each client reaches.
        fn reached(&mut self) -> HashMap<SocketAddr, WorkerId> {
            for client in &self.clients {
                client.send_to(b"?", self.sockets[0].local()).unwrap();
            }
            let (mut reached, until) = (HashMap::new(), Instant::now() + Duration::from_secs(10));
            while reached.len() < self.clients.len() {
                assert!(Instant::now() < until, "only {} arrived", reached.len());
                for (number, socket) in (0..).zip(&mut self.sockets) {
                    socket.receive(|path, _, _| _ = reached.insert(path.remote, WorkerId(number))).unwrap();
                }
            }
            reached
        }
    }

    fn next(worker: WorkerId) -> WorkerId {
        WorkerId((worker.0 + 1) % SOCKETS)
    }

    /// Every other client is listed for the socket after the one that it reaches.
    fn hold(address: &str) {
        let mut port = Port::new(address);
        let by_hash = port.reached();
        assert!((0..SOCKETS).all(|number| by_hash.values().any(|worker| worker.0 == number)), "{by_hash:?}");
        let secret = Secret::random();
        let listed: HashMap<_, _> =
            by_hash.iter().step_by(2).map(|(remote, worker)| (*remote, next(*worker))).collect();
        attach(port.sockets[1].source(), secret, listed.clone().into_iter()).unwrap();
        let expected: HashMap<_, _> =
            by_hash.iter().map(|(remote, worker)| (*remote, *listed.get(remote).unwrap_or(worker))).collect();
        assert_eq!(port.reached(), expected, "those listed go where they are listed, the others where they went");
        attach(port.sockets[0].source(), secret, std::iter::empty()).unwrap();
        assert_eq!(port.reached(), by_hash, "no client is listed any more");
    }

    #[test]
    fn a_listed_address_reaches_its_socket_and_all_others_the_one_of_the_hash() {
        hold("127.0.0.1:0");
    }

    #[test]
    fn the_same_by_ipv6() {
        hold("[::1]:0");
    }

    #[test]
    fn a_full_table_fits_and_each_in_it_is_found() {
        let mut port = Port::new("127.0.0.1:0");
        let by_hash = port.reached();
        let mut listed: HashMap<_, _> = by_hash.iter().map(|(remote, worker)| (*remote, next(*worker))).collect();
        let others = (0..).map(|number: u32| SocketAddr::from((number.to_be_bytes(), 4_000)));
        listed.extend(others.map(|remote| (remote, WorkerId(0))).take(CAPACITY - listed.len()));
        // The kernel may have less memory for it than there are instructions.
        for _ in 0..20 {
            attach(port.sockets[0].source(), Secret::random(), listed.clone().into_iter()).unwrap();
            assert!(port.reached().iter().all(|(remote, worker)| *worker == listed[remote]));
        }
    }

    #[test]
    fn an_address_with_the_key_of_another_is_not_taken_for_it() {
        let secret = Secret([1; 6]);
        let (one, other) = ("0.0.1.0:5".parse().unwrap(), "0.0.0.255:6".parse().unwrap());
        assert_eq!(secret.entry(one, WorkerId(0)).key, secret.entry(other, WorkerId(0)).key);
        let mut port = Port::new("127.0.0.1:0");
        let by_hash = port.reached();
        // Other addresses with the keys of the clients.
        let listed = by_hash.iter().map(|(remote, worker)| {
            let IpAddr::V4(address) = remote.ip() else { panic!("it is IPv4") };
            let twin = SocketAddr::from((u32::from(address).wrapping_add(1).to_be_bytes(), remote.port() - 1));
            (twin, next(*worker))
        });
        attach(port.sockets[0].source(), secret, listed).unwrap();
        assert_eq!(port.reached(), by_hash);
    }
}
