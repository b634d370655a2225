//! Judges a comparison that was read as SQL: one that conditions support, or a mistake with what to write instead.

use super::Parser;
use super::right::Right;
use crate::policy::ast::{Expr, ExprKind};
use crate::policy::condition::Comparison;
use crate::policy::habit::{self, Aim, Prefixed, Sql, instead_of_join};
use crate::policy::lex::Mistake;
use crate::session::column::Column;

impl Parser<'_> {
    /// The comparison, if conditions support it; otherwise a mistake that says what to write instead.
    pub(super) fn judged(&mut self, start: usize, left: Sql, right: Right, negated: bool) -> Result<Expr, Mistake> {
        let at = self.since(start);
        let broken = Expr {
            at: at.clone(),
            kind: ExprKind::Broken,
        };
        if std::iter::once(&left).chain(right.operands()).any(Sql::is_wrong) {
            return Ok(broken);
        }
        if let Some((one, other)) = are_joined(&left, &right) {
            let keeps = matches!(right, Right::Compare(Comparison::Equal, _)) && self.aim == Aim::Acts;
            let hint = instead_of_join(&self.aliases, &one, &other, keeps);
            self.report(habit::join(at, hint));
            return Ok(broken);
        }
        if let (Right::Null, Some(mut mistake)) = (&right, self.aliases.without_a_row(&left, !negated)) {
            mistake.at = at;
            self.report(mistake);
            return Ok(broken);
        }
        let prefixes = std::iter::once(&left).chain(right.operands()).flat_map(Sql::prefixes);
        let mut of_another = prefixes.filter_map(|prefix| self.aliases.of_another(&prefix));
        if let Some(mistake) = of_another.next() {
            self.report(mistake);
            return Ok(broken);
        }
        let (bare, right_bare) = (left.clone().bare(), right.clone().bare());
        let Some((operand, kind)) = bare.term().zip(right_bare.terms()) else {
            let answer = habit::answer(&bare, right_bare.form(), negated, &self.place(at.clone()));
            if answer.at.start <= at.start && answer.at.end == at.end {
                // The hint replaces the whole comparison, with all other mistakes in it.
                self.mistakes
                    .retain(|one| one.at.start < at.start || one.at.end > at.end);
            }
            self.report(answer);
            return Ok(broken);
        };
        self.report_prefixes(&left, &right);
        let plain = Expr {
            at: at.clone(),
            kind: kind.of(operand),
        };
        if !negated {
            return Ok(plain);
        }
        Ok(Expr {
            at,
            kind: ExprKind::Not(Box::new(plain)),
        })
    }

    /// Reports aliases, each once.
    pub(super) fn report_prefixes(&mut self, left: &Sql, right: &Right) {
        let prefixes = std::iter::once(left).chain(right.operands()).flat_map(Sql::prefixes);
        // If the name is a column of another view, the message is about the view.
        for (prefix, name, at) in prefixes.filter(|(_, name, _)| habit::instead_of_column(name).is_none()) {
            let is_session = self.aliases.is_session(prefix);
            if !is_session && Column::named(name).is_none() {
                continue;
            }
            let once = if is_session {
                prefix.to_lowercase()
            } else {
                format!("{prefix}.{name}").to_lowercase()
            };
            if self.prefixes.insert(once) {
                let message = format!("`{prefix}.` is not allowed before a column");
                let everywhere = if is_session {
                    format!(", and leave `{prefix}.` out everywhere")
                } else {
                    String::new()
                };
                let hint = format!("write `{name}`{everywhere}");
                self.report(Mistake::new(at, "table-alias", message).hint(hint));
            }
        }
    }
}

/// The first columns of the two sides, if these are of different views.
fn are_joined<'a>(left: &'a Sql, right: &'a Right) -> Option<(Prefixed<'a>, Prefixed<'a>)> {
    let of_the_right: Vec<_> = right.operands().flat_map(Sql::prefixes).collect();
    left.prefixes().into_iter().find_map(|one| {
        let other = of_the_right.iter().find(|other| !one.0.eq_ignore_ascii_case(other.0))?;
        Some((one, other.clone()))
    })
}
