//! How the program behaves towards whoever called it: colours, and how much it says.
//!
//! It is decided once, before anything is written, and for all commands, messages and the help alike.

use std::ffi::{OsStr, OsString};
use std::io::{IsTerminal, Write as _};
use std::sync::OnceLock;

use clap::{Parser as _, ValueEnum as _};

use crate::cli::{Cli, ColourWish, ExitStatus};
use crate::terminal::Detail;

/// What was asked for on the command line.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Manners {
    colour: ColourWish,
    /// Whether only problems are reported.
    pub(crate) quiet: bool,
    /// How many times more was asked for.
    verbose: u8,
}

static ASKED: OnceLock<Manners> = OnceLock::new();

/// What was asked for; the usual before that is known.
pub(crate) fn manners() -> Manners {
    ASKED.get().copied().unwrap_or_default()
}

impl Manners {
    /// How much of a result is shown to a person.
    pub(crate) fn detail(self) -> Detail {
        match (self.quiet, self.verbose) {
            (true, _) => Detail::Less,
            (false, 0) => Detail::Usual,
            (false, _) => Detail::More,
        }
    }
}

/// Reads the command line. If it is none, or asks for help, the answer is written and the exit status returned.
///
/// # Errors
/// The exit status of a program that has nothing else to do.
pub fn arrive() -> Result<Cli, ExitStatus> {
    if let Some(status) = crate::cli::complete::answered() {
        return Err(status);
    }
    let words: Vec<OsString> = std::env::args_os().collect();
    match Cli::try_parse_from(&words) {
        Ok(cli) => {
            let asked = Manners {
                colour: cli.color,
                quiet: cli.quiet,
                verbose: cli.verbose,
            };
            let _ = ASKED.set(asked);
            Ok(cli)
        }
        Err(answer) => {
            let asked = Manners {
                colour: colour_wish(&words),
                ..Manners::default()
            };
            let _ = ASKED.set(asked);
            Err(answered(&answer))
        }
    }
}

/// Writes the help, the version, or what is wrong with a command line.
fn answered(answer: &clap::Error) -> ExitStatus {
    let text = |colour| {
        let rendered = answer.render();
        if colour {
            rendered.ansi().to_string()
        } else {
            rendered.to_string()
        }
    };
    // Whoever has closed the pipe has seen enough.
    if answer.use_stderr() {
        let text = text(colour_on(&std::io::stderr()));
        drop(std::io::stderr().write_all(text.as_bytes()));
        ExitStatus::Failed
    } else {
        crate::commands::print(text(colour_on(&std::io::stdout())).as_bytes())
    }
}

/// The last wish for colours on a command line that was not understood as a whole.
fn colour_wish(words: &[OsString]) -> ColourWish {
    let words: Vec<&str> = words
        .iter()
        .map_while(|word| word.to_str())
        .take_while(|word| *word != "--")
        .collect();
    let after = words.windows(2).filter(|pair| pair[0] == "--color").map(|pair| pair[1]);
    let joined = words.iter().filter_map(|word| word.strip_prefix("--color="));
    let wish = joined.chain(after).last();
    wish.and_then(|wish| ColourWish::from_str(wish, false).ok())
        .unwrap_or_default()
}

/// Whether a stream gets colours.
pub(crate) fn colour_on(stream: &impl IsTerminal) -> bool {
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    coloured(manners().colour, variable, stream.is_terminal())
}

/// The command line decides, then NO_COLOR (no-color.org: set, and not empty), then CLICOLOR_FORCE (bixense.com/clicolors: set, and not 0),
/// and otherwise whether somebody sees them: a terminal, other than one that calls itself dumb.
fn coloured(wish: ColourWish, variable: impl Fn(&str) -> Option<OsString>, is_terminal: bool) -> bool {
    match wish {
        ColourWish::Always => true,
        ColourWish::Never => false,
        ColourWish::Auto if variable("NO_COLOR").is_some() => false,
        ColourWish::Auto if variable("CLICOLOR_FORCE").is_some_and(|value| value != "0") => true,
        ColourWish::Auto => is_terminal && !is_dumb(variable("TERM").as_deref()),
    }
}

/// Whether a terminal knows no escape sequences.
fn is_dumb(term: Option<&OsStr>) -> bool {
    term.is_some_and(|term| term == "dumb")
}

/// Whether standard output is a terminal on which the cursor can be moved.
pub(crate) fn has_screen() -> bool {
    std::io::stdout().is_terminal() && !is_dumb(std::env::var_os("TERM").as_deref())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_decides_on_colours_then_the_environment_then_the_terminal() {
        use ColourWish::{Always, Auto, Never};
        type Variables = &'static [(&'static str, &'static str)];
        let cases: [(ColourWish, Variables, bool, bool); 11] = [
            (Auto, &[("TERM", "xterm")], true, true),
            (Auto, &[], true, true),
            (Auto, &[("TERM", "xterm")], false, false),
            (Auto, &[("TERM", "dumb")], true, false),
            (Auto, &[("NO_COLOR", "1"), ("CLICOLOR_FORCE", "1")], true, false),
            (Auto, &[("CLICOLOR_FORCE", "1"), ("TERM", "dumb")], false, true),
            (Auto, &[("CLICOLOR_FORCE", "0")], false, false),
            (Auto, &[("CLICOLOR_FORCE", "0")], true, true),
            (Always, &[("NO_COLOR", "1"), ("TERM", "dumb")], false, true),
            (Never, &[("CLICOLOR_FORCE", "1")], true, false),
            (Never, &[], true, false),
        ];
        for (wish, variables, is_terminal, expected) in cases {
            let variable = |name: &str| {
                variables
                    .iter()
                    .find(|(known, _)| *known == name)
                    .map(|(_, value)| value.into())
            };
            assert_eq!(
                coloured(wish, variable, is_terminal),
                expected,
                "{wish:?} {variables:?} {is_terminal}"
            );
        }
    }

    #[test]
    fn a_wish_for_colours_is_found_beside_a_mistake() {
        let wish = |words: &str| colour_wish(&words.split(' ').map(OsString::from).collect::<Vec<_>>());
        assert_eq!(wish("orareaper plann --color always"), ColourWish::Always);
        assert_eq!(wish("orareaper --color=never plann"), ColourWish::Never);
        assert_eq!(wish("orareaper sessions -- --color=never"), ColourWish::Auto);
        assert_eq!(wish("orareaper --color=blue"), ColourWish::Auto);
    }
}
