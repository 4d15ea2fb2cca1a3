//! Stop signals, and the deadline that ends the process in any case.
//!
//! Signals have their own thread, because whatever keeps the relay from ending may also keep it from receiving signals.
//! The rule: after the first signal the process ends within a known time, whatever its threads do.

use std::future::Future;
use std::io;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use tokio::sync::oneshot;

use crate::{log, server};

/// The exit code of a process that ended because a thread was stuck (EX_SOFTWARE of sysexits.h).
pub const STUCK: u8 = 70;

/// The exit code for this outcome, after the last lines of the log.
pub fn exit_code(outcome: &anyhow::Result<()>) -> u8 {
    if let Err(error) = outcome {
        tracing::error!("{error:#}");
    }
    log::flush();
    match outcome {
        Ok(()) => 0,
        Err(error) if error.is::<server::StuckWorker>() => STUCK,
        Err(_) => 1,
    }
}

/// Time to end sessions and send the last answers.
const GRACE: Duration = server::STOP_DEADLINE.saturating_add(Duration::from_secs(4));

/// Time for the last line of the log: its reader may have stopped reading.
const LAST_LINE: Duration = Duration::from_millis(500);

/// Receives stop signals; from now on none kills the process. The first future completes at SIGTERM: refuse new
/// sessions, and end after `drain` at the latest. The second completes at SIGINT (Ctrl+C) or a second SIGTERM: end at
/// once. If the process still runs 9 s after that end is due, it exits with [`STUCK`].
///
/// # Errors
/// When a thread cannot be started or signals cannot be received.
pub fn signals(drain: Duration) -> io::Result<(impl Future<Output = ()>, impl Future<Output = ()>)> {
    let (to_drain, drains) = oneshot::channel();
    let (to_stop, stops) = oneshot::channel();
    let (ready, started) = channel();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let listen = move || {
        let heard = runtime.block_on(listen(drain, &ready, to_drain, to_stop));
        if heard.is_ok() {
            exit();
        }
    };
    std::thread::Builder::new().name("signals".to_owned()).spawn(listen)?;
    started_or_failed(&started)?;
    Ok((message(drains), message(stops)))
}

/// Completes with a message. A dropped sender sends nothing more.
async fn message(receiver: oneshot::Receiver<()>) {
    if receiver.await.is_err() {
        std::future::pending().await
    }
}

fn started_or_failed(started: &Receiver<io::Result<()>>) -> io::Result<()> {
    started.recv().unwrap_or_else(|_| Err(io::Error::other("the thread for signals ended")))
}

/// Returns when the process should have ended.
#[cfg(unix)]
async fn listen(
    drain: Duration,
    ready: &Sender<io::Result<()>>,
    to_drain: oneshot::Sender<()>,
    to_stop: oneshot::Sender<()>,
) -> Result<(), ()> {
    use tokio::signal::unix::{SignalKind, signal};
    let registered = signal(SignalKind::terminate()).and_then(|term| Ok((term, signal(SignalKind::interrupt())?)));
    let (mut terminate, mut interrupt) = match registered {
        Ok(signals) => signals,
        Err(error) => {
            let _ = ready.send(Err(error));
            return Err(());
        }
    };
    let _ = ready.send(Ok(()));
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {
            let _ = to_drain.send(());
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
                () = tokio::time::sleep(drain) => {}
            }
        }
    }
    // At the end of the drain the relay stops by itself, so this changes nothing.
    let _ = to_stop.send(());
    tokio::time::sleep(GRACE).await;
    Ok(())
}

/// Windows asks a program without a window to stop by closing its console.
#[cfg(not(unix))]
async fn listen(
    _drain: Duration,
    ready: &Sender<io::Result<()>>,
    to_drain: oneshot::Sender<()>,
    to_stop: oneshot::Sender<()>,
) -> Result<(), ()> {
    let _ = ready.send(Ok(()));
    tokio::signal::ctrl_c().await.map_err(drop)?;
    let _ = to_stop.send(());
    drop(to_drain);
    tokio::time::sleep(GRACE).await;
    Ok(())
}

fn exit() -> ! {
    let (done, message) = channel();
    // On a thread of its own: a stuck thread may hold what the log needs.
    let last_line = move || {
        tracing::error!(code = STUCK, "the relay did not stop in time: the process ends without it");
        log::flush();
        let _ = done.send(());
    };
    if std::thread::Builder::new().spawn(last_line).is_ok() {
        let _ = message.recv_timeout(LAST_LINE);
    }
    std::process::exit(STUCK.into())
}
