//! What protects the pages, as it is in force: read anew when its files change, and kept when they no longer check.

use std::path::PathBuf;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;
use std::{fmt, io, thread};

use crate::config::Config;
use crate::config::web::{self, LoadedWebConfig, WebConfig};
use crate::http::login::Logins;

/// How often the files are looked at. What has changed is read when it has not changed again by the next look, so that a certificate
/// and its key may be replaced one after the other.
pub(super) const LOOK_EVERY: Duration = Duration::from_millis(500);

/// What protects the pages.
pub(crate) struct Access {
    current: RwLock<Arc<WebConfig>>,
    source: Mutex<AccessSource>,
    /// Who has logged in.
    pub(super) logins: Logins,
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Access({:?})", self.current())
    }
}

/// Where it is from.
#[derive(Default)]
struct AccessSource {
    config: Option<Config>,
    files: Vec<PathBuf>,
    /// The files as they were when they were read.
    read: Vec<Option<[i64; 6]>>,
    /// The files as they were at the last look.
    seen: Vec<Option<[i64; 6]>>,
}

impl AccessSource {
    /// Reads the files; with the warnings told.
    fn load(&mut self) -> Result<WebConfig, String> {
        let load = || self.config.as_ref().map_or_else(LoadedWebConfig::unprotected, web::of);
        // Once for which files there are: their state has to be of before they are read, so that no change is missed.
        let files = load().files;
        self.read = web::stamp(&files);
        let loaded = load();
        self.seen.clone_from(&self.read);
        self.files.clone_from(&loaded.files);
        for warning in loaded.diagnostics.iter().filter(|problem| !problem.is_error()) {
            tracing::warn!(warning = warning.to_string(), "the pages are not well protected");
        }
        let errors = loaded.errors();
        loaded.web.ok_or(errors)
    }
}

impl Access {
    /// Reads what protects the pages of a configuration; without one nothing does.
    ///
    /// # Errors
    /// When it does not check: what is wrong, with the place.
    pub(crate) fn of(config: Option<&Config>) -> io::Result<Access> {
        let access = Access {
            current: RwLock::default(),
            source: Mutex::default(),
            logins: Logins::start()?,
        };
        let failed = |why: String| io::Error::other(format!("read the web configuration: {why}"));
        access.follow(config).map_err(failed)?;
        Ok(access)
    }

    /// What is in force.
    pub(crate) fn current(&self) -> Arc<WebConfig> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn source(&self) -> MutexGuard<'_, AccessSource> {
        self.source.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether what protects the pages checks.
    ///
    /// # Errors
    /// What is wrong, with the place.
    pub(crate) fn check(config: &Config) -> Result<(), String> {
        let loaded = web::of(config);
        let errors = loaded.errors();
        loaded.web.map(|_| ()).ok_or(errors)
    }

    /// Puts in force what another configuration says.
    ///
    /// # Errors
    /// When it does not check; what was in force stays in force.
    pub(crate) fn follow(&self, config: Option<&Config>) -> Result<(), String> {
        let mut next = AccessSource {
            config: config.cloned(),
            ..AccessSource::default()
        };
        let web = next.load()?;
        *self.source() = next;
        self.put_in_force(web);
        Ok(())
    }

    fn put_in_force(&self, web: WebConfig) {
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(web);
    }

    fn has_files(&self) -> bool {
        !self.source().files.is_empty()
    }

    /// Reads the files anew if they have changed and are no longer changing; `None` if there was nothing to do.
    fn look(&self) -> Option<Result<(), String>> {
        let mut source = self.source();
        let now = web::stamp(&source.files);
        if now == source.read {
            source.seen = now;
            return None;
        }
        if now != source.seen {
            source.seen = now;
            return None;
        }
        let loaded = source.load();
        drop(source);
        Some(loaded.map(|web| self.put_in_force(web)))
    }
}

/// Looks at the files, if there are any, until it is dropped.
#[derive(Debug)]
pub(crate) struct AccessWatch(mpsc::Sender<()>);

impl AccessWatch {
    /// Starts looking; `tell` hears of each change, or why it is not in force.
    ///
    /// # Errors
    /// When there can be no further thread.
    pub(crate) fn start(
        access: &Arc<Access>,
        tell: impl Fn(Result<(), String>) + Send + 'static,
    ) -> io::Result<AccessWatch> {
        let (stop, stopped) = mpsc::channel();
        let access = Arc::clone(access);
        // It is not waited for: it may hang on a disk.
        thread::Builder::new().name("web-config".to_owned()).spawn(move || {
            while goes_on(&stopped, access.has_files()) {
                if let Some(change) = access.look() {
                    tell(change);
                }
            }
        })?;
        Ok(AccessWatch(stop))
    }

    /// Another configuration may name other files.
    pub(crate) fn other_files(&self) {
        // A thread that has ended looks at nothing.
        let _ = self.0.send(());
    }
}

/// Waits for the next look; `false` when there is none.
fn goes_on(stopped: &mpsc::Receiver<()>, has_files: bool) -> bool {
    if has_files {
        stopped.recv_timeout(LOOK_EVERY) != Err(RecvTimeoutError::Disconnected)
    } else {
        stopped.recv().is_ok()
    }
}
