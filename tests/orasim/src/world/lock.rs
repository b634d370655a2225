//! SELECT ... FOR UPDATE: locks the rows that it finds until the transaction ends, and waits for locked rows as its clause says.

use sqlparser::ast::{NonBlock, Query, SetExpr};
use sqlparser::tokenizer::Token;

use super::client::ClientSession;
use crate::backend::{Bind, OraError};
use crate::clock::Moment;
use crate::error::{known, not_simulated};
use crate::sql::change;
use crate::sql::lex::{Tokens, word};

/// How long to wait for a row that somebody else holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Patience {
    Forever,
    Seconds(i64),
    None,
}

/// `FOR UPDATE ... WAIT n` at the end, which the parser does not know: the seconds, and how many tokens it takes.
pub(super) fn wait_clause(tokens: &Tokens<'_>) -> Option<i64> {
    let [.., wait, Token::Number(seconds, _)] = &tokens.tokens.iter().map(|it| &it.token).collect::<Vec<_>>()[..]
    else {
        return None;
    };
    let for_update = tokens.tokens.windows(2).any(|pair| {
        word(&pair[0].token).as_deref() == Some("FOR") && word(&pair[1].token).as_deref() == Some("UPDATE")
    });
    if word(wait).as_deref() == Some("WAIT") && for_update {
        seconds.parse().ok()
    } else {
        None
    }
}

impl ClientSession {
    /// Holds the rows that a query names, if it is one FOR UPDATE.
    pub(super) fn lock_rows(
        &mut self,
        tokens: &Tokens<'_>,
        query: &Query,
        binds: &[Bind],
        wait: Option<i64>,
    ) -> Result<(), OraError> {
        let Some(lock) = query.locks.first() else {
            return Ok(());
        };
        let patience = match (&lock.nonblock, wait) {
            (Some(NonBlock::Nowait), _) | (None, Some(0)) => Patience::None,
            (Some(NonBlock::SkipLocked), _) => return Err(not_simulated("SKIP LOCKED")),
            (None, Some(seconds)) => Patience::Seconds(seconds),
            (None, None) => Patience::Forever,
        };
        let SetExpr::Select(select) = query.body.as_ref() else {
            return Err(known(2014));
        };
        let [table] = select.from.as_slice() else {
            return Err(not_simulated("FOR UPDATE of a join"));
        };
        if !table.joins.is_empty() {
            return Err(not_simulated("FOR UPDATE of a join"));
        }
        let started = self.shared.look().now;
        loop {
            let engine = self.take_engine()?;
            let planned = {
                let catalog = self.catalog();
                let world = (self.shared.as_ref(), &self.setting.viewer);
                let condition = select.selection.as_ref();
                change::named_rows(&engine, world, &catalog, (tokens, table, condition), binds)
            };
            self.engine = Some(engine);
            let (owner, name, rows) = planned?;
            let mut state = self.shared.look();
            let table = state.tables.get_mut(&owner, &name).ok_or_else(|| known(942))?;
            let Some(holder) = table.holder(self.setting.viewer.holder, rows.iter().map(|(id, _)| *id)) else {
                let count = rows.len();
                table.change(self.setting.viewer.holder, rows);
                if count > 0 {
                    self.changed(&mut state, count);
                }
                return Ok(());
            };
            drop(state);
            let (deadline, refused) = match patience {
                Patience::None => return Err(known(54)),
                Patience::Seconds(seconds) => (started.saturating_add(seconds.saturating_mul(1000)), 30_006),
                Patience::Forever => (Moment::MAX, 54),
            };
            if !self.wait_for_row(holder, deadline)? {
                return Err(known(refused));
            }
        }
    }
}
