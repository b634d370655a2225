//! One attempt to tell one receiver, and what came of it.

use std::time::Duration;

use crate::config::Receiver;
use crate::config::notify::DeliveryWay;
use crate::notify::failure::NoticeFailure;
use crate::notify::notice::Notice;
use crate::notify::program::RunningPrograms;
use crate::notify::render::body;
use crate::notify::{program, web};

/// Tells a receiver, within `limit`. Returns what it answered, for people. `is_over` cuts a program short.
pub(crate) fn attempt(
    (receiver, programs): (&Receiver, &RunningPrograms),
    notice: &Notice,
    limit: Duration,
    is_over: &dyn Fn() -> bool,
) -> Result<String, NoticeFailure> {
    let body = body(receiver.kind, notice);
    match &receiver.way {
        DeliveryWay::Web(web) => web::post(web, receiver.kind, &body, limit),
        DeliveryWay::Program(command) => program::run((command, programs), &body, limit, is_over),
    }
}
