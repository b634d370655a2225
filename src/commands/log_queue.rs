//! A queue of log lines between the daemon and standard error.
//!
//! The reader of standard error may have stopped reading, and a write to a full pipe blocks for ever. So a separate thread
//! writes, and all other threads only put lines into the queue. When the queue is full, lines are lost; the number of lost lines
//! is logged once the reader reads again. Records of actions are in the journal, which does not use this queue.

use std::io::{self, Write};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

/// The capacity of the queue, a few megabytes.
const LINES: usize = 10_000;

static RUNNING: OnceLock<LogQueue> = OnceLock::new();

/// The queue.
#[derive(Debug)]
pub(crate) struct LogQueue {
    items: SyncSender<LogItem>,
    lost: AtomicU64,
}

#[derive(Debug)]
enum LogItem {
    Line(Vec<u8>),
    /// Answered when everything before it is written.
    Reached(SyncSender<()>),
}

/// The queue, if it has been started.
pub(crate) fn running() -> Option<&'static LogQueue> {
    RUNNING.get()
}

impl LogQueue {
    /// Starts the queue; from now on all log lines go through it.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub(crate) fn start() -> io::Result<&'static LogQueue> {
        let (items, received) = sync_channel(LINES);
        let queue = RUNNING.get_or_init(|| LogQueue {
            items,
            lost: AtomicU64::new(0),
        });
        thread::Builder::new()
            .name("log".to_owned())
            .spawn(move || write_all(&received, queue, &mut io::stderr()))?;
        Ok(queue)
    }

    /// Puts lines into the queue. Never waits.
    pub(crate) fn put(&self, lines: &[u8]) {
        if self.items.try_send(LogItem::Line(lines.to_vec())).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Waits, up to `grace`, until everything in the queue is written. Returns at once if the queue is full.
    pub(crate) fn finish(&self, grace: Duration) {
        let (reached, awaited) = sync_channel(1);
        if self.items.try_send(LogItem::Reached(reached)).is_ok() {
            // Lines that are not written by then have no reader.
            let _ = awaited.recv_timeout(grace);
        }
    }
}

impl Write for &LogQueue {
    fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
        self.put(lines);
        Ok(lines.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn write_all(items: &Receiver<LogItem>, queue: &LogQueue, out: &mut dyn Write) {
    for item in items {
        match item {
            LogItem::Line(lines) => {
                // Ignored: the reader is gone, and there is nowhere else to report it.
                let _ = out.write_all(&lines);
            }
            // Ignored: the waiting thread may have given up.
            LogItem::Reached(reached) => drop(reached.try_send(())),
        }
        let lost = queue.lost.swap(0, Ordering::Relaxed);
        if lost > 0 {
            tracing::warn!(
                lost_lines = lost,
                "log lines were lost because standard error was not read"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    /// Blocks writes while its mutex is held.
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
    fn putting_a_line_never_waits_for_the_reader() {
        let (items, received) = sync_channel(LINES);
        let queue = Arc::new(LogQueue {
            items,
            lost: AtomicU64::new(0),
        });
        let pipe = Pipe::default();
        let stuck = pipe.0.lock().expect("not poisoned");
        let (its_queue, mut out) = (Arc::clone(&queue), pipe.clone());
        let writer = thread::spawn(move || write_all(&received, &its_queue, &mut out));
        // The writer holds one line at most; lines beyond the capacity are lost.
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
            "lines are missing or out of order"
        );
        assert!(!writer.is_finished());
    }
}
