//! Announces this node, and keeps what it has read of the directory up to date.
//!
//! A watch may go silent without an error: when its bucket is made anew, while servers elect a leader, or behind a
//! firewall that has forgotten the connection. So a node looks for its own heartbeat in what it reads. A new watch begins
//! when none was read for some seconds, and after each reconnection; it reads everything into a new view, which takes the
//! place of the old one when a heartbeat is read that names this watch. The old view is used until then.

use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::directory::Directory;
use super::fence::has_stood_still;
use super::store::{Link, StoreError, Watch};
use super::view::View;
use crate::metrics::DirectoryState;

/// The pause between two attempts to begin a watch: at random, so that nodes do not all begin at the same time.
const PAUSE: std::ops::Range<Duration> = Duration::from_millis(200)..Duration::from_millis(600);

/// Keeps this node announced and the directory read, until it is dropped.
pub async fn follow(directory: &Directory) {
    tokio::join!(announce(directory), read(directory), directory.keep_listed());
}

async fn announce(directory: &Directory) {
    let mut generations = directory.generation.subscribe();
    loop {
        let generation = *generations.borrow_and_update();
        if let Err(error @ StoreError::Refused(_)) = directory.announce(generation).await {
            directory.set_state(DirectoryState::Unreachable, &error.to_string());
        }
        let began = Instant::now();
        // The sender is part of the directory.
        let _ = tokio::time::timeout(directory.timing.heartbeat, generations.changed()).await;
        if has_stood_still(began, directory.timing.heartbeat, Instant::now()) {
            // Others may have taken streams meanwhile, and what was read last does not show it.
            directory.ask_again();
        }
    }
}

async fn read(directory: &Directory) {
    let mut link = directory.store.link();
    loop {
        link.borrow_and_update();
        match directory.store.watch().await {
            Ok(watch) => read_one(directory, watch, &mut link).await,
            Err(error) => directory.set_state(DirectoryState::Unreachable, &error.to_string()),
        }
        // A connection does not wait for the end of the pause.
        let _ = tokio::time::timeout(rand::random_range(PAUSE), link.changed()).await;
    }
}

/// Reads one watch, until it ends or may have missed something.
async fn read_one(directory: &Directory, mut watch: Watch, link: &mut watch::Receiver<Link>) {
    let generation = *directory.generation.borrow() + 1;
    directory.generation.send_replace(generation);
    let mut fresh = Some(View::default());
    let mut heard = tokio::time::Instant::now();
    let times = link.borrow().times;
    loop {
        let update = tokio::select! {
            update = watch.next() => update,
            () = tokio::time::sleep_until(heard + directory.timing.silence) => {
                let silence = directory.timing.silence.as_secs_f64();
                return directory.set_state(DirectoryState::Behind, &format!("nothing was read for {silence} s"));
            }
            _ = link.changed() => {
                let now = *link.borrow_and_update();
                if !now.is_connected {
                    directory.set_state(DirectoryState::Unreachable, "the connection is lost");
                }
                if now.times != times {
                    return directory.set_state(DirectoryState::Behind, "it is connected again");
                }
                continue;
            }
        };
        let Some(update) = update else {
            return directory.set_state(DirectoryState::Behind, "the watch has ended");
        };
        match &mut fresh {
            Some(view) => drop(view.apply(&update)),
            None => directory.apply(&update),
        }
        if directory.is_echo(&update, generation) {
            heard = tokio::time::Instant::now();
            if let Some(view) = fresh.take() {
                directory.replace(view);
            }
            directory.set_state(DirectoryState::Connected, "every value is known");
        }
    }
}
