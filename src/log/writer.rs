//! Writes the log beside the threads that log, because its reader may stop reading: a paused terminal, a full pipe.
//!
//! The rule: no thread of the relay waits for the log's reader. Only the end of the process does, for a moment.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use tracing_subscriber::fmt::MakeWriter;

/// Lines that wait for the reader. Further lines are lost; a line says how many.
const WAITING: usize = 1_024;

/// Time for the lines that wait when the process ends.
const LAST_LINES: Duration = Duration::from_millis(300);

/// The lines that wait. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Lines {
    waiting: SyncSender<Waiting>,
    /// Counted by the threads that log, reported and reset by the one that writes.
    lost: Arc<AtomicU64>,
}

#[derive(Debug)]
enum Waiting {
    Line(Vec<u8>),
    /// Answered when all lines before it are written.
    Mark(SyncSender<()>),
}

impl Lines {
    /// Starts a thread that writes to `sink`.
    ///
    /// # Errors
    /// When no thread can be started.
    pub(super) fn to(sink: impl Write + Send + 'static) -> io::Result<Self> {
        let (waiting, lines) = sync_channel(WAITING);
        let lost = Arc::new(AtomicU64::new(0));
        let counter = lost.clone();
        std::thread::Builder::new().name("log writer".to_owned()).spawn(move || write(sink, &lines, &counter))?;
        Ok(Self { waiting, lost })
    }

    /// Waits a moment until the lines before are written.
    pub(super) fn flush(&self) {
        let (mark, written) = sync_channel(1);
        // While the queue is full the reader does not read, so there is nothing to wait for.
        if self.waiting.try_send(Waiting::Mark(mark)).is_ok() {
            let _ = written.recv_timeout(LAST_LINES);
        }
    }
}

/// `tracing` writes each line at once.
impl Write for &Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.waiting.try_send(Waiting::Line(line.to_vec())).is_err() {
            self.lost.fetch_add(1, Relaxed);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = &'a Self;

    fn make_writer(&'a self) -> &'a Self {
        self
    }
}

/// Errors are ignored: where stderr is closed, nobody reads them either.
fn write(mut sink: impl Write, lines: &Receiver<Waiting>, lost: &AtomicU64) {
    for waiting in lines {
        match waiting {
            Waiting::Line(line) => drop(sink.write_all(&line)),
            Waiting::Mark(written) => drop(written.send(())),
        }
        let lost = lost.swap(0, Relaxed);
        if lost > 0 {
            drop(
                sink.write_all(
                    format!("{lost} log lines were lost because the log's reader did not read\n").as_bytes(),
                ),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Sender, channel};

    use super::*;

    /// Reports when it is written to, and reads on when the test lets it.
    struct Reader {
        begun: Sender<()>,
        goes_on: Receiver<()>,
        read: Sender<String>,
    }

    impl Write for Reader {
        fn write(&mut self, line: &[u8]) -> io::Result<usize> {
            let _ = self.begun.send(());
            // Without a sender it reads without a pause.
            let _ = self.goes_on.recv();
            self.read.send(String::from_utf8_lossy(line).into_owned()).map_err(io::Error::other)?;
            Ok(line.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_that_stops_costs_lines_and_blocks_no_thread_that_logs() {
        const LOST: usize = 50;
        let ((begun, begins), (go_on, goes_on), (read, lines)) = (channel(), channel(), channel());
        let log = Lines::to(Reader { begun, goes_on, read }).unwrap();
        let say = |number: usize| (&log).write_all(format!("line {number}\n").as_bytes()).unwrap();
        say(0);
        begins.recv().unwrap();
        (1..=WAITING + LOST).for_each(say);
        log.flush();
        drop(go_on);
        assert_eq!(lines.recv().unwrap(), "line 0\n");
        let lost: String = lines.iter().take_while(|text| text != "line 1\n").collect();
        assert_eq!(lost, format!("{LOST} log lines were lost because the log's reader did not read\n"));
        (2..=WAITING).for_each(|number| assert_eq!(lines.recv().unwrap(), format!("line {number}\n")));
        say(7);
        log.flush();
        assert_eq!(lines.try_recv().unwrap(), "line 7\n", "a flush waits for what was logged before");
    }
}
