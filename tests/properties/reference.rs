//! The reference: computes every decision in a slow and obvious way, from the whole history, for one session at a time, and
//! remembers only the actions. It shares no code with the daemon.

use orareaper::session::column::Column;

use super::world::{Person, Rule, Rules, World};

/// An action that was permitted.
#[derive(Clone, Debug)]
pub(crate) struct Act {
    /// In which snapshot.
    pub(crate) at: usize,
    pub(crate) policy: usize,
    pub(crate) person: usize,
    /// Whether a statement was sent, as far as is known.
    pub(crate) counts: bool,
    pub(crate) followed: bool,
    /// What a statement came to that has not ended the session, if one was sent or may have been.
    pub(crate) attempt: Option<Attempt>,
    /// It was spared when it was read again.
    pub(crate) spared: bool,
}

/// What came of a statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Attempt {
    /// The session cannot be ended.
    Refused,
    /// An error.
    Failed,
    /// Success.
    Sent,
    /// There was no answer.
    Unknown,
}

/// How the following of an action ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Followed {
    Gone,
    /// The session shows that it was not carried out.
    NotSent,
    GivenUp,
}

fn and(one: Option<bool>, two: Option<bool>) -> Option<bool> {
    match (one, two) {
        (Some(false), _) | (_, Some(false)) => Some(false),
        (Some(true), Some(true)) => Some(true),
        _ => None,
    }
}

pub(crate) struct Reference<'a> {
    pub(crate) world: &'a World,
    pub(crate) rules: &'a Rules,
}

impl Reference<'_> {
    fn status(&self, at: usize, person: &Person) -> Option<&'static str> {
        person.states[at].status.filter(|_| self.world.has(at, Column::Status))
    }

    pub(crate) fn matches(&self, at: usize, rule: &Rule, person: &Person) -> bool {
        let mut truth = person.states[at]
            .last_call
            .map(|last_call| last_call > rule.longer_than);
        if rule.inactive {
            truth = and(truth, self.status(at, person).map(|status| status == "INACTIVE"));
        }
        if let Some((within, users)) = &rule.users {
            truth = and(truth, person.username.map(|name| users.contains(&name) == *within));
        }
        if rule.unless_module {
            let module = person.module.filter(|_| self.world.has(at, Column::Module));
            truth = and(truth, module.map(|module| !module.starts_with("BATCH")));
        }
        truth == Some(true)
    }

    pub(crate) fn is_protected(&self, at: usize, rule: &Rule, person: &Person) -> bool {
        let lifted = |name| rule.allow.contains(&name);
        let kind = person.kind.filter(|_| self.world.has(at, Column::Type));
        let never = kind != Some("USER")
            || person.username.is_none()
            || person.username == Some("REAPER")
            || person.program == "oracle@db1 (PMON)"
            || person.logon.is_none()
            || matches!(self.status(at, person), None | Some("KILLED"));
        let bound = rule
            .undo_records
            .unwrap_or(i64::try_from(self.rules.limits.undo_records).expect("small"));
        let undo = match person.states[at].undo {
            _ if !self.world.has(at, Column::Taddr) => true,
            None => false,
            Some(size) => size.is_none_or(|size| size > bound),
        };
        let xa = if self.world.has(at, Column::Taddr) {
            person.states[at].undo.is_some() && person.states[at].transaction_status != Some("ACTIVE")
        } else {
            true
        };
        never
            || (xa && !lifted("xa"))
            || (person.username == Some("SYS") && !lifted("sys"))
            || (person.program == "rman@bkp01" && !lifted("backup"))
            || (person.program == "oracle@db1 (J001)" && !lifted("jobs"))
            || (undo && !lifted("undo"))
    }

    /// Whether nothing but an unread size of its transaction protects it. With that read it may be taken, so that it counts for the
    /// breaker.
    fn is_spared_unread(&self, at: usize, rule: &Rule, person: &Person) -> bool {
        let mut read = person.clone();
        let undo = &mut read.states[at].undo;
        *undo = undo.map(|size| Some(size.unwrap_or(0)));
        !self.is_protected(at, rule, &read) && !self.is_exempt(at, person)
    }

    /// `username = CRM and not INACTIVE`; UNKNOWN exempts.
    pub(crate) fn is_exempt(&self, at: usize, person: &Person) -> bool {
        let busy = self.status(at, person).map(|status| status != "INACTIVE");
        self.rules.exemption && and(person.username.map(|name| name == "CRM"), busy) != Some(false)
    }

    fn hold_of(&self, at: usize, rule: &Rule) -> i64 {
        rule.hold[usize::from(at >= self.rules.reload_at)]
    }

    /// Whether it matched in every snapshot for as long as is asked, with a clock that ran all the time, and no snapshot shows that it was
    /// used since the first of them: every condition here is about that.
    pub(crate) fn is_held(&self, at: usize, rule: &Rule, number: usize) -> bool {
        let hold = self.hold_of(at, rule);
        let person = &self.world.people[number];
        let holds = |at: usize| {
            self.hold_of(at, rule) > 0
                && self.world.shown(at).contains(&number)
                && self.world.is_complete(at, person.inst_id)
                && self.matches(at, rule, person)
        };
        let mut since = at;
        while since > 0 && self.world.is_unbroken(since) && holds(since - 1) {
            since -= 1;
        }
        for later in since + 1..=at {
            let ago = person.states[later].last_call.expect("it matched by it");
            if self.world.time(later) - ago > self.world.time(since) + 5 {
                since = later;
            }
        }
        hold == 0 || self.world.time(at) - self.world.time(since) >= hold
    }

    fn same(&self, one: usize, two: usize) -> bool {
        let key = |number: usize| {
            let person = &self.world.people[number];
            (person.inst_id, person.sid, person.serial, person.logon)
        };
        key(one) == key(two)
    }

    /// Whether an earlier action on the session is neither proven nor given up.
    fn is_followed(&self, at: usize, number: usize, acts: &[Act]) -> bool {
        let act = acts.iter().rfind(|act| act.followed && self.same(act.person, number));
        act.is_some_and(|act| self.followed_until(at, act).is_none())
    }

    /// In which snapshot the following of an action ended, and how.
    fn followed_until(&self, at: usize, act: &Act) -> Option<(usize, Followed)> {
        let end = |later| {
            if self.is_gone(later, act.person) {
                Some(Followed::Gone)
            } else if self.shows_no_kill(later, act) {
                Some(Followed::NotSent)
            } else {
                (self.world.time(later) - self.world.time(act.at) >= 3600).then_some(Followed::GivenUp)
            }
        };
        (act.at + 1..=at).find_map(|later| end(later).map(|how| (later, how)))
    }

    /// Whether a session is seen not to be there: no row has its key, or may have it.
    fn is_gone(&self, at: usize, number: usize) -> bool {
        let person = &self.world.people[number];
        let may_be = |other: &usize| {
            let other = &self.world.people[*other];
            (other.inst_id, other.sid, other.serial) == (person.inst_id, person.sid, person.serial)
                && (other.logon == person.logon || other.logon.is_none())
        };
        self.world.is_complete(at, person.inst_id) && !self.world.shown(at).iter().any(may_be)
    }

    /// Whether a kill without an answer is seen not to have been carried out: a minute later the session is not KILLED, and nobody is
    /// there who could be the one that it was sent through.
    fn shows_no_kill(&self, at: usize, act: &Act) -> bool {
        let shown = self.world.shown(at);
        let row = shown.iter().find(|other| self.same(**other, act.person));
        let is_left = row.is_some_and(|row| {
            let status = self.status(at, &self.world.people[*row]);
            status.is_some_and(|status| status != "KILLED")
        });
        let may_send = |number: &usize| {
            let person = &self.world.people[*number];
            let is_own = !self.world.has(at, Column::Module);
            let came_later = person.logon.is_some_and(|logon| logon > self.world.time(act.at));
            is_own && !came_later && self.status(at, person) != Some("INACTIVE")
        };
        let was_killed = |at: usize| {
            let of = |other: &usize| {
                let person = &self.world.people[*other];
                self.same(*other, act.person) && self.status(at, person) == Some("KILLED")
            };
            self.world.shown(at).iter().any(of)
        };
        act.attempt == Some(Attempt::Unknown)
            && !(act.at + 1..at).any(was_killed)
            && self.world.time(at) - self.world.time(act.at) >= 60
            && is_left
            && [1, 2].into_iter().all(|inst_id| self.world.is_complete(at, inst_id))
            && !shown.iter().any(may_send)
    }

    /// Whether the session of an action was in every snapshot since, and the action is less than this many seconds old.
    fn stayed(&self, at: usize, act: &Act, seconds: i64) -> bool {
        (act.at + 1..=at)
            .all(|later| !self.is_gone(later, act.person) && self.world.time(later) - self.world.time(act.at) < seconds)
    }

    /// The snapshot in which the policy last wanted the session in vain within an hour; -1 for none.
    fn last_spared(&self, at: usize, policy: usize, number: usize, acts: &[Act]) -> i64 {
        let of = |act: &&Act| act.spared && act.policy == policy && self.same(act.person, number);
        let last = acts.iter().rfind(of).filter(|act| self.stayed(at, act, 3600));
        last.map_or(-1, |act| self.world.time(act.at))
    }

    /// Whether the last attempt on the session makes the next one wait. A key that was gone meanwhile is another session.
    fn waits(&self, at: usize, number: usize, acts: &[Act]) -> bool {
        let mut attempts = acts
            .iter()
            .rev()
            .filter(|act| act.attempt.is_some() && self.same(act.person, number));
        let Some(last) = attempts.next() else { return false };
        let (mut times, mut newest) = (1, last);
        for earlier in attempts {
            if !self.stayed(newest.at, earlier, 24 * 3600) {
                break;
            }
            (times, newest) = (times + 1, earlier);
        }
        let was_seen = || matches!(self.followed_until(at, last), Some((_, Followed::NotSent)));
        let first = match last.attempt {
            Some(Attempt::Unknown) if was_seen() => 60,
            Some(Attempt::Refused | Attempt::Failed | Attempt::Sent | Attempt::Unknown) | None => 3600,
        };
        let wait = (0..times - 1).fold(first, |wait: i64, _| (wait * 2).min(16 * 3600));
        let lately = self.world.time(at) - self.world.time(last.at) < wait;
        self.stayed(at, last, 24 * 3600) && (last.attempt == Some(Attempt::Refused) || lately)
    }

    /// USERNAME, PROGRAM and MACHINE as far as they were read.
    fn like(&self, at: usize, number: usize) -> (Option<&'static str>, &'static str, Option<&'static str>) {
        let person = &self.world.people[number];
        let machine = person.machine.filter(|_| self.world.has(at, Column::Machine));
        (person.username, person.program, machine)
    }

    /// Logins that came soon after one of their like was ended, each for one of each policy: which act, and the login.
    fn returns(&self, at: usize, acts: &[Act]) -> Vec<(usize, i64)> {
        let mut waiting: Vec<(usize, Option<(i64, i64)>)> = Vec::new();
        let (mut seen, mut returns): (Vec<usize>, Vec<(usize, i64)>) = (Vec::new(), Vec::new());
        for now in 0..=at {
            let ended = |act: &usize| acts[*act].followed && acts[*act].at + 1 == now;
            waiting.extend((0..acts.len()).filter(ended).map(|act| (act, None)));
            let time = self.world.time(now);
            waiting.retain(|(act, gone)| match gone {
                Some((_, gone)) => time - gone <= 600,
                None => {
                    let seen = self.followed_until(now, &acts[*act]);
                    time - self.world.time(acts[*act].at) <= 3600 && !matches!(seen, Some((_, Followed::NotSent)))
                }
            });
            let shown = self.world.shown(now);
            for (act, gone) in &mut waiting {
                let person = acts[*act].person;
                let there = shown.iter().any(|other| self.same(*other, person));
                if gone.is_none() && self.world.is_complete(now, self.world.people[person].inst_id) && !there {
                    *gone = Some((self.world.time(now - 1), time));
                }
            }
            for number in shown {
                let Some(login) = self.world.people[number].logon else {
                    continue;
                };
                if seen.iter().any(|other| self.same(*other, number)) {
                    continue;
                }
                seen.push(number);
                for policy in 0..self.rules.rules.len() {
                    let is_like = |(act, gone): &(usize, Option<(i64, i64)>)| {
                        let Act { at, person, .. } = acts[*act];
                        let soon = |from, to: i64| (from..=to + 300).contains(&login);
                        acts[*act].policy == policy
                            && !self.same(person, number)
                            && self.like(at, person) == self.like(now, number)
                            && (soon(self.world.time(at), self.world.time(at))
                                || gone.is_some_and(|(from, to)| soon(from, to)))
                    };
                    if let Some(place) = waiting.iter().position(is_like) {
                        returns.push((waiting.remove(place).0, login));
                    }
                }
            }
        }
        returns
    }

    /// Whether the policy leaves the session's like alone.
    fn is_suspended(&self, at: usize, policy: usize, number: usize, acts: &[Act]) -> bool {
        let times = self.rules.rules[policy].respawns.unwrap_or(self.rules.limits.respawns);
        let now = self.world.time(at);
        let returns = self.returns(at, acts).into_iter().filter(|(act, login)| {
            let Act { at: ended, person, .. } = acts[*act];
            acts[*act].policy == policy && self.like(ended, person) == self.like(at, number) && now - login < 24 * 3600
        });
        let returns: Vec<(usize, i64)> = returns.map(|(act, login)| (acts[act].at, login)).collect();
        let cycles: std::collections::BTreeSet<usize> = returns.iter().map(|(ended, _)| *ended).collect();
        let newest = returns.iter().map(|(_, login)| *login).max();
        cycles.len() >= times as usize && newest.is_some_and(|newest| now < newest + 3600)
    }

    fn worst_first(&self, at: usize, people: &mut [usize]) {
        people.sort_by_key(|number| {
            let person = &self.world.people[*number];
            let last_call = person.states[at].last_call;
            let while_in = |statuses: &[&str]| {
                let known = self.status(at, person).is_some_and(|status| statuses.contains(&status));
                // Largest first, none last.
                last_call.filter(|_| known).map_or(1, |seconds| -seconds)
            };
            let key = person
                .logon
                .map(|logon| (person.inst_id, person.sid, person.serial, logon));
            (while_in(&["INACTIVE", "SNIPED"]), while_in(&["ACTIVE"]), key)
        });
    }

    /// Actions that count in the seconds before and at a snapshot, of one policy or all.
    fn done(&self, at: usize, seconds: i64, policy: Option<usize>, acts: &[Act]) -> u32 {
        let now = self.world.time(at);
        let counted = acts.iter().filter(|act| {
            act.counts && now - self.world.time(act.at) < seconds && policy.is_none_or(|policy| act.policy == policy)
        });
        u32::try_from(counted.count()).expect("few")
    }

    fn group(&self, rule: &Rule, number: usize) -> Vec<Option<&'static str>> {
        let person = &self.world.people[number];
        let per = rule.keep.iter().flat_map(|(_, per, _)| per);
        per.map(|column| {
            if *column == "username" {
                person.username
            } else {
                person.machine
            }
        })
        .collect()
    }

    /// How many of the session's group stay if those in `taken` and all that are followed go.
    fn stay(&self, at: usize, rule: &Rule, number: usize, taken: &[usize], acts: &[Act]) -> u32 {
        let group = self.group(rule, number);
        let stays = |other: &&usize| {
            let person = &self.world.people[**other];
            person.kind.filter(|_| self.world.has(at, Column::Type)) == Some("USER")
                && self.status(at, person) != Some("KILLED")
                && self.world.is_complete(at, person.inst_id)
                && self.group(rule, **other) == group
                && !taken.iter().any(|taken| self.same(*taken, **other))
                && !(person.logon.is_some() && self.is_followed(at, **other, acts))
        };
        u32::try_from(self.world.shown(at).iter().filter(stays).count()).expect("few")
    }

    /// How many of the session's group that match stay and come after it in the order, if those in `taken` and all that are followed go.
    /// Who is neither idle nor running for a known time, or has no key, has no place in that order.
    fn stay_behind(&self, at: usize, rule: &Rule, number: usize, taken: &[usize], acts: &[Act]) -> u32 {
        let has_a_place = |number: &usize| {
            let person = &self.world.people[*number];
            let status = self.status(at, person);
            let ranks = status.is_some_and(|status| ["INACTIVE", "SNIPED", "ACTIVE"].contains(&status));
            ranks && person.states[at].last_call.is_some() && person.logon.is_some()
        };
        let mut all = self.world.shown(at);
        all.retain(|other| has_a_place(other) && self.matches(at, rule, &self.world.people[*other]));
        self.worst_first(at, &mut all);
        let Some(place) = all.iter().position(|other| *other == number) else {
            return 0;
        };
        let group = self.group(rule, number);
        let stays = |other: &&usize| {
            let person = &self.world.people[**other];
            person.kind.filter(|_| self.world.has(at, Column::Type)) == Some("USER")
                && self.world.is_complete(at, person.inst_id)
                && self.group(rule, **other) == group
                && !taken.iter().any(|taken| self.same(*taken, **other))
                && !self.is_followed(at, **other, acts)
        };
        u32::try_from(all[place + 1..].iter().filter(stays).count()).expect("few")
    }

    /// Every decision of a cycle in which all policies act: policy, person, verdict; in the order of the ruling.
    pub(crate) fn decide(&self, at: usize, acts: &[Act]) -> Vec<(usize, usize, &'static str)> {
        let mut decisions = Vec::new();
        let mut taken: Vec<usize> = Vec::new();
        for (policy, rule) in self
            .rules
            .rules
            .iter()
            .enumerate()
            .filter(|(_, rule)| rule.mode == "enforce")
        {
            let mut people: Vec<usize> = self.world.shown(at);
            people.retain(|number| {
                let person = &self.world.people[*number];
                self.world.is_complete(at, person.inst_id) && self.matches(at, rule, person)
            });
            self.worst_first(at, &mut people);
            people.sort_by_key(|number| self.last_spared(at, policy, *number, acts));
            let standing = |number: &usize| {
                let person = &self.world.people[*number];
                if self.is_protected(at, rule, person) {
                    "protected"
                } else if self.is_exempt(at, person) {
                    "exempt"
                } else if self.is_followed(at, *number, acts) {
                    "deferred"
                } else if self.is_held(at, rule, *number) {
                    "ready"
                } else {
                    "pending"
                }
            };
            let standings: Vec<&str> = people.iter().map(standing).collect();
            let refused = self.breaker_opens(at, rule, &people, &standings);
            let mut own = 0;
            for (number, standing) in people.into_iter().zip(standings) {
                let verdict = match standing {
                    "ready" if refused || self.is_suspended(at, policy, number, acts) => "refused",
                    "ready" if self.may(at, policy, number, own, &taken, acts) => {
                        own += 1;
                        taken.push(number);
                        "act"
                    }
                    "ready" => "deferred",
                    other => other,
                };
                decisions.push((policy, number, verdict));
            }
        }
        decisions
    }

    fn breaker_opens(&self, at: usize, rule: &Rule, people: &[usize], standings: &[&str]) -> bool {
        let candidates: Vec<usize> = (0..people.len())
            .filter(|index| match standings[*index] {
                "protected" => self.is_spared_unread(at, rule, &self.world.people[people[*index]]),
                standing => standing != "exempt",
            })
            .map(|index| people[index])
            .collect();
        let share = u64::from(rule.share.unwrap_or(self.rules.limits.share));
        let on = |people: &[usize], inst_id: i64| {
            people
                .iter()
                .filter(|number| self.world.people[**number].inst_id == inst_id)
                .count() as u64
        };
        let users: Vec<usize> = self
            .world
            .shown(at)
            .into_iter()
            .filter(|n| self.world.people[*n].kind == Some("USER"))
            .collect();
        candidates.len() > 5
            && [1, 2]
                .into_iter()
                .any(|inst_id| 100 * on(&candidates, inst_id) > share * on(&users, inst_id))
    }

    fn may(&self, at: usize, policy: usize, number: usize, own: u32, taken: &[usize], acts: &[Act]) -> bool {
        let (rule, all) = (&self.rules.rules[policy], &self.rules.limits);
        let now = u32::try_from(taken.len()).expect("few");
        let under = |limit: Option<u32>, used: u32| limit.is_none_or(|limit| used < limit);
        let day = 24 * 3600;
        !taken.iter().any(|other| self.same(*other, number))
            && !self.waits(at, number, acts)
            && under(Some(all.per_cycle), now)
            && under(Some(all.per_hour), now + self.done(at, 3600, None, acts))
            && under(all.per_day, now + self.done(at, day, None, acts))
            && under(rule.per_cycle, own)
            && under(rule.per_hour, own + self.done(at, 3600, Some(policy), acts))
            && under(rule.per_day, own + self.done(at, day, Some(policy), acts))
            && rule.keep.as_ref().is_none_or(|(at_least, per, matching)| {
                let enough = if *matching {
                    self.stay_behind(at, rule, number, taken, acts) >= *at_least
                } else {
                    self.stay(at, rule, number, taken, acts) > *at_least
                };
                (self.world.has(at, Column::Machine) || !per.contains(&"machine")) && enough
            })
    }
}
