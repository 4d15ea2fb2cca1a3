//! Notifies the service manager of the relay's state (sd_notify): ready, reloading, stopping. Does nothing without
//! `NOTIFY_SOCKET`.

/// The relay serves.
pub fn ready(status: &str) {
    notify(State::Ready, status);
}

/// The configuration is being read again; [`ready`] follows.
pub fn reloading() {
    notify(State::Reloading, "reading the configuration again");
}

/// New sessions are refused, and the end follows.
pub fn stopping(status: &str) {
    notify(State::Stopping, status);
}

enum State {
    Ready,
    Reloading,
    Stopping,
}

#[cfg(target_os = "linux")]
fn notify(state: State, status: &str) {
    use sd_notify::NotifyState;
    let mut states = match state {
        State::Ready => vec![NotifyState::Ready],
        // The service manager tells several reloads apart by this time.
        State::Reloading => {
            [NotifyState::Reloading].into_iter().chain(NotifyState::monotonic_usec_now().ok()).collect()
        }
        State::Stopping => vec![NotifyState::Stopping],
    };
    states.push(NotifyState::Status(status));
    if let Err(error) = sd_notify::notify(&states) {
        tracing::warn!(%error, "cannot notify the service manager: the unit needs AF_UNIX in RestrictAddressFamilies=");
    }
}

/// Only Linux has systemd.
#[cfg(not(target_os = "linux"))]
fn notify(_state: State, _status: &str) {}
