//! The socket of one accepted connection, shared by the thread that reads it and the thread that works on it.
//!
//! Two threads, because a client interrupts a call through the same connection that the call runs on: while the worker
//! runs a statement, the reader sees the break marker, acknowledges it and interrupts the statement. The rest of the
//! exchange (the client's reset, the server's reset, the error) happens in the worker, in its turn.
//!
//! While a break is pending nothing is sent: the client throws away everything up to the reset.

use std::io;
use std::net::{Shutdown, TcpStream};
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::packet::{Kind, PacketReader, Width, data_capacity, write_packet};
use crate::backend::Interrupt;

/// How often a pending break interrupts the running call again: the first may have come just before the call began.
const BREAK_AGAIN: Duration = Duration::from_millis(50);
/// How long a break waits for its answer. A server does not look for breaks all the time either, and ojdbc waits for ever
/// where the answer comes while its own thread that has sent the break is not yet done with it.
const BREAK_ANSWER: Duration = Duration::from_millis(30);
/// How long a client may leave its end unread before it is given up.
const WRITE_TIMEOUT: Duration = Duration::from_secs(60);
/// The data flag of a client that is leaving.
const LEAVING: u16 = 0x0040;

/// The kinds of marker.
mod marker {
    pub(super) const BREAK: u8 = 1;
    pub(super) const RESET: u8 = 2;
    pub(super) const INTERRUPT: u8 = 3;
}

/// What the reader tells the worker.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Incoming {
    /// Part of a message.
    Data(Vec<u8>),
    /// The client has seen the break and wants to go on.
    Reset,
}

/// What the two threads share.
pub(crate) struct Link {
    socket: TcpStream,
    writer: Mutex<TcpStream>,
    capacity: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    breaking: bool,
    mute: bool,
    finished: bool,
    interrupt: Option<Arc<dyn Interrupt>>,
}

impl Link {
    /// Takes over an accepted connection.
    ///
    /// # Errors
    ///
    /// The socket's own.
    pub(crate) fn new(socket: TcpStream, session_data_unit: usize) -> io::Result<Self> {
        socket.set_write_timeout(Some(WRITE_TIMEOUT))?;
        let writer = Mutex::new(socket.try_clone()?);
        Ok(Self {
            socket,
            writer,
            capacity: data_capacity(session_data_unit),
            state: Mutex::default(),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on a break interrupts this.
    pub(crate) fn interrupt_with(&self, interrupt: Option<Arc<dyn Interrupt>>) {
        self.state().interrupt = interrupt;
    }

    /// Whether the client has sent a break that is not over.
    pub(crate) fn is_breaking(&self) -> bool {
        self.state().breaking
    }

    /// Nothing is ever answered again, not even a break.
    pub(crate) fn mute(&self) {
        self.state().mute = true;
    }

    /// Closes the connection both ways, at once.
    pub(crate) fn close(&self) {
        // The peer may have closed it first: either way it is closed.
        let _ = self.socket.shutdown(Shutdown::Both);
    }

    /// Sends a message in as many packets as it takes, unless a break is pending.
    ///
    /// # Errors
    ///
    /// The socket's own.
    pub(crate) fn send(&self, message: &[u8]) -> io::Result<()> {
        for part in message.chunks(self.capacity) {
            let state = self.state();
            if state.breaking || state.mute {
                return Ok(());
            }
            drop(state);
            self.write(Kind::Data, part)?;
        }
        Ok(())
    }

    fn write(&self, kind: Kind, body: &[u8]) -> io::Result<()> {
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        write_packet(&mut writer, Width::Wide, kind, body)
    }

    /// Ends a break: the reset that the client waits for, and whatever the interrupted call comes to.
    ///
    /// # Errors
    ///
    /// The socket's own.
    pub(crate) fn end_break(&self, message: &[u8]) -> io::Result<()> {
        let mut state = self.state();
        state.breaking = false;
        let mute = state.mute;
        drop(state);
        if mute {
            return Ok(());
        }
        self.write(Kind::Marker, &[1, 0, marker::RESET])?;
        self.send(message)
    }

    fn begin_break(&self) -> io::Result<()> {
        let mut state = self.state();
        if state.mute {
            return Ok(());
        }
        let again = std::mem::replace(&mut state.breaking, true);
        drop(state);
        self.interrupt_again();
        if again {
            Ok(())
        } else {
            std::thread::sleep(BREAK_ANSWER);
            self.write(Kind::Marker, &[1, 0, marker::BREAK])
        }
    }

    /// Interrupts the running call, if a break is still pending. The lock is held meanwhile, so that a break that ends now
    /// cannot hit the next call.
    fn interrupt_again(&self) {
        let state = self.state();
        if state.breaking
            && let Some(interrupt) = &state.interrupt
        {
            interrupt.break_call();
        }
    }

    /// The reader's whole life: hands on what comes until nothing comes any more.
    pub(crate) fn read(&self, mut stream: TcpStream, mut packets: PacketReader, worker: SyncSender<Incoming>) {
        while let Ok(more) = self.read_one(&mut stream, &mut packets, &worker) {
            if !more {
                break;
            }
        }
        // The worker takes it from here, and interrupting it until it does frees it from whatever it waits for. It learns
        // of the end once its queue is empty, by this thread's side being closed.
        drop(worker);
        loop {
            let state = self.state();
            if state.finished {
                return;
            }
            if let Some(interrupt) = &state.interrupt {
                interrupt.break_call();
            }
            drop(state);
            std::thread::sleep(BREAK_AGAIN);
        }
    }

    /// The worker is done: the reader need not interrupt it any more.
    pub(crate) fn finish(&self) {
        let mut state = self.state();
        state.finished = true;
        state.interrupt = None;
        drop(state);
        self.close();
    }

    fn read_one(
        &self,
        stream: &mut TcpStream,
        packets: &mut PacketReader,
        worker: &SyncSender<Incoming>,
    ) -> io::Result<bool> {
        stream.set_read_timeout(self.is_breaking().then_some(BREAK_AGAIN))?;
        let Some(packet) = packets.next(stream)? else {
            self.interrupt_again();
            return Ok(true);
        };
        match packet.kind {
            Kind::Data if packet.data_flags & LEAVING != 0 => Ok(false),
            Kind::Data => Ok(worker.send(Incoming::Data(packet.body)).is_ok()),
            Kind::Marker => match packet.body.get(2).copied() {
                Some(marker::BREAK | marker::INTERRUPT) => self.begin_break().map(|()| true),
                Some(marker::RESET) => Ok(worker.send(Incoming::Reset).is_ok()),
                _ => Ok(false),
            },
            Kind::Connect | Kind::Accept | Kind::Refuse => Ok(false),
            Kind::Other(_) => Ok(true),
        }
    }
}
