//! The bounded, lock-free queue into a worker, with its wake-up.
//!
//! Many threads push, one worker pops. A push wakes the worker only when the worker is about to sleep, so a busy worker
//! costs its senders no system call.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Waker;

use crate::shared::{ArrayQueue, AtomicBool};

/// The queue was full; the message is returned. Media is dropped and counted, commands are retried.
#[derive(Debug)]
pub(crate) struct InboxFull<T>(pub(crate) T);

/// The worker's end.
#[derive(Debug)]
pub(crate) struct Inbox<T> {
    shared: Arc<Shared<T>>,
}

/// A sender's end; cheap to clone.
#[derive(Debug)]
pub(crate) struct Sender<T> {
    shared: Arc<Shared<T>>,
    waker: Waker,
}

/// Senders write `queue` and clear `asleep`; the worker reads `queue` and sets `asleep`.
#[derive(Debug)]
struct Shared<T> {
    queue: ArrayQueue<T>,
    asleep: AtomicBool,
}

/// A queue of `capacity` messages; `waker` interrupts the worker's sleep.
pub(crate) fn inbox<T>(capacity: usize, waker: Waker) -> (Sender<T>, Inbox<T>) {
    let shared = Arc::new(Shared { queue: ArrayQueue::new(capacity), asleep: AtomicBool::new(false) });
    (Sender { shared: shared.clone(), waker }, Inbox { shared })
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone(), waker: self.waker.clone() }
    }
}

impl<T> Sender<T> {
    /// Sends a message to the worker and wakes it if it sleeps. Messages of one thread arrive in order.
    ///
    /// # Errors
    /// [`InboxFull`] with the message when the queue is full.
    pub(crate) fn push(&self, message: T) -> Result<(), InboxFull<T>> {
        self.shared.queue.push(message).map_err(InboxFull)?;
        // Pairs with `prepare_to_sleep`: either this thread sees `asleep`, or the worker sees the message.
        if self.shared.asleep.swap(false, Ordering::SeqCst) {
            self.waker.wake_by_ref();
        }
        Ok(())
    }
}

impl<T> Inbox<T> {
    /// The oldest message.
    pub(crate) fn pop(&mut self) -> Option<T> {
        self.shared.queue.pop()
    }

    /// How many messages wait.
    pub(crate) fn len(&self) -> usize {
        self.shared.queue.len()
    }

    /// True when no message waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.shared.queue.is_empty()
    }

    /// Announces that the worker is about to sleep; false when a message has arrived and it must not.
    pub(crate) fn prepare_to_sleep(&mut self) -> bool {
        self.shared.asleep.store(true, Ordering::SeqCst);
        if self.shared.queue.is_empty() {
            return true;
        }
        self.shared.asleep.store(false, Ordering::SeqCst);
        false
    }

    /// Announces that the worker is awake, so that senders need not wake it.
    pub(crate) fn woke(&mut self) {
        self.shared.asleep.store(false, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct Bell(AtomicUsize);

    impl Wake for Bell {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[test]
    fn a_push_wakes_a_sleeping_worker_once_and_a_busy_one_never() {
        let bell = Arc::new(Bell::default());
        let (sender, mut inbox) = inbox(4, Waker::from(bell.clone()));
        sender.push(1).unwrap();
        assert_eq!(bell.0.load(Ordering::SeqCst), 0);
        assert!(!inbox.prepare_to_sleep(), "a message waits, so the worker must not sleep");
        assert_eq!(inbox.pop(), Some(1));
        assert!(inbox.prepare_to_sleep());
        sender.push(2).unwrap();
        sender.push(3).unwrap();
        assert_eq!(bell.0.load(Ordering::SeqCst), 1);
        assert_eq!((inbox.pop(), inbox.pop(), inbox.pop()), (Some(2), Some(3), None));
    }

    #[test]
    fn a_full_queue_gives_the_message_back() {
        let (sender, mut inbox) = inbox(1, Waker::noop().clone());
        sender.push("first").unwrap();
        let Err(InboxFull(returned)) = sender.push("second") else { panic!("the queue holds one") };
        assert_eq!(returned, "second");
        assert_eq!(inbox.len(), 1);
        assert_eq!(inbox.pop(), Some("first"));
        assert!(inbox.is_empty());
    }
}
