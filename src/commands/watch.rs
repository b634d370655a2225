//! Repeats what a command shows, until it is interrupted or its reader closes the pipe.
//!
//! On a terminal it has a screen of its own (the alternate one), so that what was there before is there again afterwards. Each frame is
//! written over the one before it, line by line, in one write: nothing flickers. Its first lines stay, and what does not fit is counted.
//! The signals that end or stop a program put the screen away first, and then have their usual effect; a second one has it at once.
//! Elsewhere one table follows the other, each below the time of its reading.

use std::io::{self, Write as _};
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP, SIGWINCH};
use signal_hook::iterator::Signals;
use signal_hook::low_level::emulate_default_handler;

use crate::cli::ExitStatus;
use crate::clock::{Clock, SystemClock};
use crate::commands::log::{keep_aside, no_more_aside};
use crate::commands::manners::has_screen;
use crate::commands::{fail, terminal_style, write};
use crate::quantity::Span;
use crate::session::time::iso;
use crate::terminal::{Colour, TextStyle, clip, paint};

/// To the alternate screen; no cursor, and no line that goes on in the next one.
const ENTER: &[u8] = b"\x1b[?1049h\x1b[?25l\x1b[?7l";
/// Back again.
const LEAVE: &[u8] = b"\x1b[?7h\x1b[?25h\x1b[?1049l";

/// What a command does in each round.
pub(crate) trait Watched {
    /// Reads anew. An error ends the command.
    fn read(&mut self) -> Result<(), ExitStatus>;

    /// Reports what could not be read, on standard error; a screen shows it itself.
    fn tell(&self);

    /// What was read, a block for each database. `is_first` in the first round, which has the header of a table.
    fn show(&self, style: TextStyle, is_first: bool) -> Vec<String>;
}

/// Shows rounds until somebody ends them. `is_text` if the result is for people.
pub(crate) fn watch(
    every: Duration,
    is_text: bool,
    clock: SystemClock,
    watched: &mut impl Watched,
) -> Result<(), ExitStatus> {
    if is_text && has_screen() {
        return on_screen(every, clock, watched);
    }
    let mut is_first = true;
    loop {
        watched.read()?;
        watched.tell();
        let blocks = watched.show(terminal_style(), is_first);
        let round = if is_text {
            let gap = if is_first { "" } else { "\n" };
            format!("{gap}{}\n{}", stamp(clock), blocks.join("\n"))
        } else {
            blocks.concat()
        };
        if !write(round.as_bytes())? {
            return Ok(());
        }
        is_first = false;
        std::thread::sleep(every);
    }
}

/// The time of a reading, by this host's clock.
fn stamp(clock: SystemClock) -> String {
    iso(clock.utc())
}

fn on_screen(every: Duration, clock: SystemClock, watched: &mut impl Watched) -> Result<(), ExitStatus> {
    watched.read()?;
    let screen = Screen::open().map_err(|error| fail(&format!("catch signals: {error}")))?;
    let span = Span(i64::try_from(every.as_secs()).unwrap_or(i64::MAX));
    loop {
        let head = format!("{}, every {span}; Ctrl-C ends", stamp(clock));
        let next = clock.now().plus(every);
        let mut waits = true;
        while waits {
            let style = terminal_style();
            let shown = frame(&head, &watched.show(style, false), height(), style);
            if !screen.draw(&shown)? {
                return Ok(());
            }
            let left = next.since(clock.now());
            waits = screen.is_resized(left);
        }
        watched.read()?;
    }
}

/// The lines of the terminal.
fn height() -> usize {
    terminal_size::terminal_size().map_or(24, |(_, height)| usize::from(height.0).max(2))
}

/// A whole screen: the head, and of each block as many lines as there is room for.
fn frame(head: &str, blocks: &[String], height: usize, style: TextStyle) -> String {
    let mut lines = vec![paint(&clip(head, style.width), Colour::Dim, style)];
    lines.extend(fitted(blocks, height.saturating_sub(1)));
    let drawn: Vec<String> = lines.iter().map(|line| format!("{line}\x1b[K")).collect();
    format!("\x1b[H{}\x1b[J", drawn.join("\r\n"))
}

/// The lines of all blocks, a blank one between two. If there are too many, short blocks are whole, and the others have the same number of
/// lines, of which the last says how many more there are.
fn fitted(blocks: &[String], room: usize) -> Vec<String> {
    let blocks: Vec<Vec<&str>> = blocks.iter().map(|block| block.lines().collect()).collect();
    let mut left = room.saturating_sub(blocks.len().saturating_sub(1));
    let mut quotas = vec![0; blocks.len()];
    let mut order: Vec<usize> = (0..blocks.len()).collect();
    order.sort_by_key(|at| blocks[*at].len());
    for (done, at) in order.iter().enumerate() {
        let share = left / (blocks.len() - done);
        quotas[*at] = blocks[*at].len().min(share);
        left -= quotas[*at];
    }
    let mut lines = Vec::new();
    for (at, (block, quota)) in blocks.iter().zip(quotas).enumerate() {
        if at > 0 {
            lines.push(String::new());
        }
        if quota == block.len() {
            lines.extend(block.iter().map(|line| (*line).to_owned()));
            continue;
        }
        let whole = quota.saturating_sub(1);
        lines.extend(block[..whole].iter().map(|line| (*line).to_owned()));
        let more = block.len() - whole;
        lines.push(format!(
            "… and {more} more {}",
            if more == 1 { "line" } else { "lines" }
        ));
    }
    lines.truncate(room);
    lines
}

/// The alternate screen of the terminal, until it is dropped or a signal ends the program.
struct Screen {
    state: Arc<ScreenState>,
    resized: Receiver<()>,
}

/// Whether the screen is there; whoever writes to it holds the lock.
#[derive(Default)]
struct ScreenState(Mutex<bool>);

impl ScreenState {
    fn lock(&self) -> MutexGuard<'_, bool> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enter(&self) {
        let mut is_there = self.lock();
        keep_aside();
        at_once(ENTER);
        *is_there = true;
    }

    fn leave(&self) {
        let mut is_there = self.lock();
        if std::mem::take(&mut *is_there) {
            at_once(LEAVE);
            no_more_aside();
        }
    }
}

/// Writes to the terminal without a buffer. A failure shows when a frame is drawn.
fn at_once(bytes: &[u8]) {
    let _ = io::stdout().lock().flush();
    let _ = rustix::io::write(io::stdout(), bytes);
}

impl Screen {
    fn open() -> io::Result<Screen> {
        let ended = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM, SIGHUP, SIGQUIT] {
            // Registered first, so that only the second signal finds the flag set.
            signal_hook::flag::register_conditional_default(signal, Arc::clone(&ended))?;
            signal_hook::flag::register(signal, Arc::clone(&ended))?;
        }
        let signals = Signals::new([SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP, SIGWINCH])?;
        let state = Arc::new(ScreenState::default());
        let (tell, resized) = channel();
        let attended = Arc::clone(&state);
        std::thread::Builder::new()
            .name("signals".into())
            .spawn(move || attend(signals, &attended, &tell))?;
        state.enter();
        Ok(Screen { state, resized })
    }

    /// Draws a frame. `false` if the terminal is gone.
    fn draw(&self, frame: &str) -> Result<bool, ExitStatus> {
        let is_there = self.state.lock();
        if *is_there { write(frame.as_bytes()) } else { Ok(true) }
    }

    /// Waits for this long. `true` at once if the terminal has another size or shows the program again.
    fn is_resized(&self, limit: Duration) -> bool {
        match self.resized.recv_timeout(limit) {
            Ok(()) => {
                while self.resized.try_recv().is_ok() {}
                true
            }
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => false,
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.state.leave();
    }
}

/// Puts the screen away before a signal has its effect, and tells of one that asks for another frame.
fn attend(mut signals: Signals, state: &ScreenState, tell: &Sender<()>) {
    for signal in signals.forever() {
        match signal {
            SIGWINCH => {}
            SIGTSTP => {
                state.leave();
                // Returns when the shell continues the program.
                let _ = emulate_default_handler(signal);
                state.enter();
            }
            ended => {
                state.leave();
                let _ = emulate_default_handler(ended);
            }
        }
        // Nobody waits for it any more if the program is ending.
        let _ = tell.send(());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(name: &str, lines: usize) -> String {
        (0..lines).map(|line| format!("{name}{line}\n")).collect()
    }

    #[test]
    fn what_does_not_fit_is_counted_and_short_blocks_are_whole() {
        let all = [block("a", 2), block("b", 9)];
        assert_eq!(fitted(&all, 12).len(), 12);
        assert_eq!(
            fitted(&all, 7),
            ["a0", "a1", "", "b0", "b1", "b2", "… and 6 more lines"]
        );
        assert_eq!(fitted(&all[1..], 3), ["b0", "b1", "… and 7 more lines"]);
        assert_eq!(fitted(&all[1..], 9).len(), 9);
        let two = [block("a", 9), block("b", 9)];
        assert_eq!(
            fitted(&two, 7),
            ["a0", "a1", "… and 7 more lines", "", "b0", "b1", "… and 7 more lines"]
        );
        // However small the terminal is.
        for room in 0..8 {
            assert!(fitted(&two, room).len() <= room, "{room}");
        }
        assert_eq!(fitted(&[], 5), [""; 0]);
    }

    #[test]
    fn a_frame_is_written_over_the_one_before_it() {
        let style = TextStyle {
            width: 20,
            ..TextStyle::default()
        };
        assert_eq!(
            frame("head", &["one\ntwo\n".to_owned()], 10, style),
            "\x1b[Hhead\x1b[K\r\none\x1b[K\r\ntwo\x1b[K\x1b[J"
        );
    }
}
