//! DBMS_TRANSACTION.LOCAL_TRANSACTION_ID, which tells the transaction's number and can open one.

use std::sync::Arc;

use super::{Result, Run, Span};
use crate::backend::Value;
use crate::error::known;
use crate::sql::lex::word;

impl Run<'_, '_> {
    /// Whether an expression is a call of DBMS_TRANSACTION.LOCAL_TRANSACTION_ID, which can open a transaction.
    pub(super) fn is_transaction_id(&self, span: &Span) -> bool {
        let words: Vec<_> = self.tokens.tokens[span.clone()]
            .iter()
            .filter_map(|it| word(&it.token))
            .collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        matches!(words.as_slice(), ["DBMS_TRANSACTION", "LOCAL_TRANSACTION_ID", ..])
    }

    pub(super) fn transaction_id(&mut self, span: &Span) -> Result<Value> {
        let arguments = span.start + 4..span.end.saturating_sub(1);
        let opens = !arguments.is_empty() && self.holds(&arguments)?;
        let read_write = self.session.shared.scenario.database.open_mode == "READ WRITE";
        let has_one = self.session.with_own(|sess, _| sess.txn.is_some())?;
        if opens && !has_one {
            if !read_write {
                return Err(known(16_000));
            }
            let shared = Arc::clone(&self.session.shared);
            self.session.changed(&mut shared.look(), 0);
        }
        self.session.with_own(|sess, _| {
            sess.txn.as_ref().map_or(Value::Null, |txn| {
                Value::Text(format!("{}.{}.{}", txn.usn, txn.slot, txn.sequence).into())
            })
        })
    }
}
