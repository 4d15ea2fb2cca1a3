//! The send arena: packets are written and sealed where the kernel will read them, and leave as GSO runs.
//!
//! A run is what the kernel cuts into equal segments: packets to one path, each as long as the first, the last one
//! possibly shorter. A run that the kernel refuses because its buffer is full is kept, bit for bit (an index is never
//! sealed twice), and the worker serves no other viewer until the socket is writable again or the run is too old.

use std::time::{Duration, Instant};

use super::own_socket::OwnSocket;
use crate::five_tuple::FiveTuple;

/// Where runs go: the socket, or a test.
pub trait Outbox {
    /// Hands `contents` to the kernel, cut into datagrams of `segment` bytes where that is given.
    fn send(&mut self, path: &FiveTuple, contents: &[u8], segment: Option<usize>) -> SendOutcome;
    /// How many segments one run may have; 1 where there is no GSO.
    fn max_segments(&self) -> usize;
    /// False while packets wait for a slow TCP connection: a viewer is then sent audio alone.
    fn has_room(&self, _path: &FiveTuple) -> bool {
        true
    }
    /// Takes the socket of a session that has one of its own.
    fn open(&mut self, _socket: OwnSocket) {}
    /// The session whose own socket has this port has ended, and its last datagrams are sent.
    fn close(&mut self, _port: u16) {}
}

/// What became of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SendOutcome {
    /// The kernel has it.
    Done,
    /// The kernel's buffer is full; the poll reports when it has room.
    Blocked,
    /// A datagram is longer than the path allows.
    TooLong,
    /// Any other error; the packet is lost as on the network.
    Failed,
}

/// The longest sealed packet that leaves: what an Ethernet frame carries over IPv4 and UDP.
pub(crate) const MAX_DATAGRAM: usize = 1472;

/// Room for one packet while it is written: the longest datagram and an authentication tag.
const ROOM: usize = MAX_DATAGRAM + 16;

/// Holds the longest run, and room for the packet that ends it.
const ARENA: usize = 128 * 1024;

/// The kernel takes at most this many bytes at once, GSO or not.
const MAX_RUN: usize = 65_000;

/// A refused run older than this is dropped: the viewer has sent another NACK or skipped the packets.
const REFUSED_AGE: Duration = Duration::from_millis(200);

/// Maximum packets of one kind for a TCP connection before its room is checked again: they fit into its buffer.
pub(crate) const TCP_BURST: u64 = 48;

/// One worker's arena. Public for the benches alone.
#[derive(Debug)]
pub struct Batch {
    arena: Vec<u8>,
    path: Option<FiveTuple>,
    start: usize,
    end: usize,
    /// Length of the run's first packet; 0 when the run is empty.
    segment: usize,
    packets: usize,
    refused: Vec<RefusedRun>,
    tally: SendCounts,
}

#[derive(Debug)]
struct RefusedRun {
    path: FiveTuple,
    contents: Vec<u8>,
    segment: Option<usize>,
    since: Instant,
}

/// What happened since the tally was last taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct SendCounts {
    /// Runs that the kernel took.
    pub(crate) runs: u64,
    /// Packets that the kernel took.
    pub(crate) packets: u64,
    /// Their bytes, as UDP payload.
    pub(crate) bytes: u64,
    /// Packets dropped because the kernel's buffer stayed full.
    pub(crate) too_old: u64,
    /// Packets dropped because they were too long for the path.
    pub(crate) too_long: u64,
    /// Packets dropped for any other error of the socket.
    pub(crate) failed: u64,
}

impl Default for Batch {
    fn default() -> Self {
        Self {
            arena: vec![0; ARENA],
            path: None,
            start: 0,
            end: 0,
            segment: 0,
            packets: 0,
            refused: Vec::new(),
            tally: SendCounts::default(),
        }
    }
}

impl Batch {
    /// Starts a viewer: what is committed from here on goes to `path`.
    pub fn begin(&mut self, path: FiveTuple) {
        debug_assert_eq!(self.packets, 0, "the viewer before was flushed");
        self.path = Some(path);
        (self.start, self.end) = (0, 0);
    }

    /// Whether the viewer's packets go on a TCP connection.
    pub(crate) fn is_tcp(&self) -> bool {
        self.path.is_some_and(|path| path.protocol.is_by_tcp())
    }

    /// False while packets wait for the viewer's TCP connection.
    pub(crate) fn has_room(&self, outbox: &impl Outbox) -> bool {
        self.path.is_none_or(|path| outbox.has_room(&path))
    }

    /// Space for one packet and its tag, directly behind the last one.
    pub fn room(&mut self) -> &mut [u8] {
        &mut self.arena[self.end..self.end + ROOM]
    }

    /// Adds the `len` bytes that were written into [`Self::room`], and sends the run if it is complete.
    pub fn commit(&mut self, len: usize, outbox: &mut impl Outbox, now: Instant) {
        if len > MAX_DATAGRAM {
            self.tally.too_long += 1;
            return;
        }
        if self.packets > 0 && len > self.segment {
            self.flush(outbox, now);
        }
        if self.packets == 0 {
            self.segment = len;
        }
        self.end += len;
        self.packets += 1;
        let full = self.packets >= outbox.max_segments() || self.end - self.start + self.segment > MAX_RUN;
        if len < self.segment || full {
            self.flush(outbox, now);
        }
        if self.packets == 0 && self.end + MAX_RUN + ROOM > ARENA {
            (self.start, self.end) = (0, 0);
        }
    }

    /// Sends what has been committed.
    pub fn flush(&mut self, outbox: &mut impl Outbox, now: Instant) {
        let (packets, range) = (self.packets, self.start..self.end);
        self.packets = 0;
        self.start = self.end;
        let (Some(path), true) = (self.path, packets > 0) else { return };
        let segment = (packets > 1).then_some(self.segment);
        let contents = &self.arena[range];
        let sent = if self.refused.is_empty() { outbox.send(&path, contents, segment) } else { SendOutcome::Blocked };
        match sent {
            SendOutcome::Blocked => {
                self.refused.push(RefusedRun { path, contents: contents.to_vec(), segment, since: now })
            }
            sent => self.tally.count(sent, packets, contents.len()),
        }
    }

    /// Forgets what has been committed but not sent, after a panic in between.
    pub(crate) fn abandon(&mut self) {
        self.packets = 0;
        self.start = self.end;
    }

    /// True while refused runs wait for the socket: no viewer should be served.
    pub(crate) fn is_blocked(&self) -> bool {
        !self.refused.is_empty()
    }

    /// Offers refused runs again, oldest first, dropping those that are too old; true when none is left.
    pub(crate) fn retry(&mut self, outbox: &mut impl Outbox, now: Instant) -> bool {
        let mut waiting = std::mem::take(&mut self.refused).into_iter();
        while let Some(run) = waiting.next() {
            let packets = run.segment.map_or(1, |segment| run.contents.len().div_ceil(segment));
            if now.saturating_duration_since(run.since) > REFUSED_AGE {
                self.tally.too_old += packets as u64;
                continue;
            }
            match outbox.send(&run.path, &run.contents, run.segment) {
                SendOutcome::Blocked => {
                    self.refused.push(run);
                    self.refused.extend(waiting);
                    return false;
                }
                sent => self.tally.count(sent, packets, run.contents.len()),
            }
        }
        true
    }

    /// Takes the counts since the last call.
    pub(crate) fn take_tally(&mut self) -> SendCounts {
        std::mem::take(&mut self.tally)
    }
}

impl SendCounts {
    fn count(&mut self, sent: SendOutcome, packets: usize, bytes: usize) {
        let packets = packets as u64;
        match sent {
            SendOutcome::Done => {
                self.runs += 1;
                self.packets += packets;
                self.bytes += bytes as u64;
            }
            SendOutcome::TooLong => self.too_long += packets,
            SendOutcome::Failed | SendOutcome::Blocked => self.failed += packets,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::five_tuple::Protocol;

    #[derive(Default)]
    struct Recorder {
        runs: Vec<(Vec<u8>, Option<usize>)>,
        blocked: bool,
    }

    impl Outbox for Recorder {
        fn send(&mut self, _path: &FiveTuple, contents: &[u8], segment: Option<usize>) -> SendOutcome {
            if self.blocked {
                return SendOutcome::Blocked;
            }
            self.runs.push((contents.to_vec(), segment));
            SendOutcome::Done
        }

        fn max_segments(&self) -> usize {
            4
        }
    }

    fn path() -> FiveTuple {
        let address = "127.0.0.1:1".parse().unwrap();
        FiveTuple { protocol: Protocol::Udp, local: address, remote: address }
    }

    fn write(batch: &mut Batch, outbox: &mut Recorder, byte: u8, len: usize, now: Instant) {
        batch.room()[..len].fill(byte);
        batch.commit(len, outbox, now);
    }

    #[test]
    fn equal_packets_form_runs_that_a_shorter_one_ends_and_a_longer_one_splits() {
        let (mut batch, mut outbox, now) = (Batch::default(), Recorder::default(), Instant::now());
        batch.begin(path());
        for (byte, len) in [(1, 100), (2, 100), (3, 60), (4, 100), (5, 101), (6, 101)] {
            write(&mut batch, &mut outbox, byte, len, now);
        }
        batch.flush(&mut outbox, now);
        let shape: Vec<_> = outbox.runs.iter().map(|(contents, segment)| (contents.len(), *segment)).collect();
        assert_eq!(shape, [(260, Some(100)), (100, None), (202, Some(101))]);
        let all: Vec<u8> = outbox.runs.iter().flat_map(|(contents, _)| contents.iter().copied()).collect();
        assert!(all.is_sorted(), "packets leave in order");
        assert_eq!(batch.take_tally().packets, 6);
    }

    #[test]
    fn a_run_is_no_longer_than_the_kernel_takes_and_the_arena_is_used_again() {
        let (mut batch, mut outbox, now) = (Batch::default(), Recorder::default(), Instant::now());
        batch.begin(path());
        for _ in 0..1000 {
            write(&mut batch, &mut outbox, 7, MAX_DATAGRAM, now);
        }
        batch.flush(&mut outbox, now);
        assert_eq!(batch.take_tally().packets, 1000);
        assert!(outbox.runs.iter().all(|(contents, _)| contents.len() <= 4 * MAX_DATAGRAM));
    }

    #[test]
    fn a_refused_run_waits_is_sent_unchanged_and_dropped_by_age() {
        let (mut batch, mut outbox, now) =
            (Batch::default(), Recorder { blocked: true, ..Default::default() }, Instant::now());
        batch.begin(path());
        write(&mut batch, &mut outbox, 1, 50, now);
        write(&mut batch, &mut outbox, 2, 50, now);
        batch.flush(&mut outbox, now);
        assert!(batch.is_blocked());
        outbox.blocked = false;
        assert!(batch.retry(&mut outbox, now));
        assert_eq!(outbox.runs, [([[1; 50], [2; 50]].concat(), Some(50))]);

        outbox.blocked = true;
        batch.begin(path());
        write(&mut batch, &mut outbox, 3, 50, now);
        batch.flush(&mut outbox, now);
        outbox.blocked = false;
        assert!(batch.retry(&mut outbox, now + REFUSED_AGE * 2));
        assert_eq!((outbox.runs.len(), batch.take_tally().too_old), (1, 1));
    }
}
