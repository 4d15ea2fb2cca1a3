//! Datagrams that the kernel dropped because a media socket's receive buffer was full. Only Linux
//! counts them for each socket, in `/proc/self/net/udp` and `udp6`. They are read at each scrape of the metrics.

use std::fs;
use std::sync::{Mutex, PoisonError};

/// The media sockets, as the kernel names them.
#[derive(Debug, Default)]
pub(crate) struct SocketDrops {
    inodes: Vec<u64>,
    /// How many drops have been reported.
    reported: Mutex<u64>,
}

impl SocketDrops {
    /// The drops of these sockets.
    #[cfg(target_os = "linux")]
    pub(crate) fn of<'a>(sockets: impl Iterator<Item = &'a mio::net::UdpSocket>) -> Self {
        use std::os::fd::AsRawFd as _;
        use std::os::unix::fs::MetadataExt as _;
        let inode = |socket: &mio::net::UdpSocket| {
            Some(fs::metadata(format!("/proc/self/fd/{}", socket.as_raw_fd())).ok()?.ino())
        };
        Self { inodes: sockets.filter_map(inode).collect(), reported: Mutex::default() }
    }

    /// This system does not count drops by socket: none are reported.
    #[cfg(not(target_os = "linux"))]
    pub(crate) fn of<'a>(_sockets: impl Iterator<Item = &'a mio::net::UdpSocket>) -> Self {
        Self::default()
    }

    /// Passes the number of drops since the last call to `report`.
    pub(crate) fn read(&self, report: impl FnOnce(u64)) {
        if self.inodes.is_empty() {
            return;
        }
        let mut reported = self.reported.lock().unwrap_or_else(PoisonError::into_inner);
        let read = |path| fs::read_to_string(path).unwrap_or_default();
        let drops: u64 = ["/proc/self/net/udp", "/proc/self/net/udp6"].map(|path| self.count(&read(path))).iter().sum();
        report(drops - drops.min(*reported));
        *reported = drops.max(*reported);
    }

    fn count(&self, table: &str) -> u64 {
        let drops = |line: &str| {
            let mut fields = line.split_ascii_whitespace().skip(9);
            let inode: u64 = fields.next()?.parse().ok()?;
            self.inodes.contains(&inode).then_some(())?;
            fields.nth(2)?.parse::<u64>().ok()
        };
        // The first line has the names of the columns.
        table.lines().skip(1).filter_map(drops).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops
  391: 00000000:1F91 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 4711 2 0000000000000000 12
  391: 00000000:1F91 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 4712 2 0000000000000000 30
  530: 0100007F:D431 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 99 2 0000000000000000 500
  cut: 0100007F:D431 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 4711
";

    #[test]
    fn the_drops_of_ones_own_sockets_are_counted_and_no_others() {
        let of = |inodes: &[u64]| SocketDrops { inodes: inodes.to_vec(), ..SocketDrops::default() };
        assert_eq!(of(&[4711, 4712]).count(TABLE), 42);
        assert_eq!((of(&[1]).count(TABLE), of(&[4711]).count("")), (0, 0));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_socket_whose_buffer_is_full_drops_and_the_kernel_counts() {
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        socket2::SockRef::from(&socket).set_recv_buffer_size(2048).unwrap();
        let (sender, address) = (std::net::UdpSocket::bind("127.0.0.1:0").unwrap(), socket.local_addr().unwrap());
        let socket = mio::net::UdpSocket::from_std(socket);
        let drops = SocketDrops::of([&socket].into_iter());
        let read = || {
            let mut new = None;
            drops.read(|count| new = Some(count));
            new
        };
        assert_eq!(read(), Some(0));
        for _ in 0..100 {
            sender.send_to(&[0; 1000], address).unwrap();
        }
        assert!(read() > Some(0), "100,000 bytes do not fit into a few thousand");
        assert_eq!(read(), Some(0), "each is reported once");
    }
}
