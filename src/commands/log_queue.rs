//! Lines of the daemon on their way to standard error, which may not take them.
//!
//! Whoever reads standard error may be gone, or may have stopped reading: a write to a full pipe waits for ever. So a thread of
//! its own writes, and everybody else hands lines over and goes on. So many lines wait; what comes beyond them is lost, and how
//! much was lost is told once the reader is back. What the daemon did is in the journal of its own, which does not go this way.

use std::io::{self, Write};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

/// So many lines wait, some megabytes at most.
const LINES: usize = 10_000;

static RUNNING: OnceLock<Queue> = OnceLock::new();

/// Lines that wait.
#[derive(Debug)]
pub(crate) struct Queue {
    items: SyncSender<Item>,
    lost: AtomicU64,
}

#[derive(Debug)]
enum Item {
    Line(Vec<u8>),
    /// Everything before it is written.
    Reached(SyncSender<()>),
}

/// The queue, if lines go through one.
pub(crate) fn running() -> Option<&'static Queue> {
    RUNNING.get()
}

impl Queue {
    /// From now on, what is said goes through the queue.
    ///
    /// # Errors
    /// When the system has no thread to give.
    pub(crate) fn start() -> io::Result<&'static Queue> {
        let (items, received) = sync_channel(LINES);
        let queue = RUNNING.get_or_init(|| Queue {
            items,
            lost: AtomicU64::new(0),
        });
        thread::Builder::new()
            .name("log".to_owned())
            .spawn(move || write_all(&received, queue, &mut io::stderr()))?;
        Ok(queue)
    }

    /// Hands lines over. Never waits.
    pub(crate) fn put(&self, lines: &[u8]) {
        if self.items.try_send(Item::Line(lines.to_vec())).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Waits until all is written that was handed over, no longer than this. A queue that is full is not waited for.
    pub(crate) fn finish(&self, grace: Duration) {
        let (reached, awaited) = sync_channel(1);
        if self.items.try_send(Item::Reached(reached)).is_ok() {
            // What is not written by then has no reader.
            let _ = awaited.recv_timeout(grace);
        }
    }
}

impl Write for &Queue {
    fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
        self.put(lines);
        Ok(lines.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn write_all(items: &Receiver<Item>, queue: &Queue, out: &mut dyn Write) {
    for item in items {
        match item {
            Item::Line(lines) => {
                // A reader that is gone does not come back, and there is nowhere else to say so.
                let _ = out.write_all(&lines);
            }
            // Whoever waited may have gone.
            Item::Reached(reached) => drop(reached.try_send(())),
        }
        let lost = queue.lost.swap(0, Ordering::Relaxed);
        if lost > 0 {
            tracing::warn!(lines = lost, "lines of the log are lost: nobody read standard error");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    /// Takes nothing as long as it is held.
    #[derive(Clone, Default)]
    struct Pipe(Arc<Mutex<Vec<u8>>>);

    impl Write for Pipe {
        fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("not poisoned").extend_from_slice(lines);
            Ok(lines.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn whoever_writes_never_waits_for_whoever_reads() {
        let (items, received) = sync_channel(LINES);
        let queue = Arc::new(Queue {
            items,
            lost: AtomicU64::new(0),
        });
        let pipe = Pipe::default();
        let stuck = pipe.0.lock().expect("not poisoned");
        let (its_queue, mut out) = (Arc::clone(&queue), pipe.clone());
        let writer = thread::spawn(move || write_all(&received, &its_queue, &mut out));
        // One is in the writer's hands at most; beyond those that may wait, they are lost.
        for number in 0..LINES + 5 {
            queue.put(format!("{number}\n").as_bytes());
        }
        assert!((4..=5).contains(&queue.lost.load(Ordering::Relaxed)));
        queue.finish(Duration::from_millis(10));
        drop(stuck);
        queue.finish(Duration::from_secs(60));
        while Arc::strong_count(&queue) > 1 && queue.lost.load(Ordering::Relaxed) > 0 {
            thread::sleep(Duration::from_millis(1));
        }
        queue.finish(Duration::from_secs(60));
        let text = String::from_utf8(pipe.0.lock().expect("not poisoned").clone()).expect("text");
        assert!(
            text.starts_with("0\n1\n2\n") && text.lines().count() >= LINES,
            "order is kept"
        );
        assert!(!writer.is_finished());
    }
}
