//! Where a person's check-ins come from.

pub(crate) mod checkin;
mod demo;

use crate::request::UserId;
use features::CheckIn;

/// A person's check-ins, latest first. Empty for a person nobody knows: an answer that differs would tell a
/// stranger who is known.
pub(crate) fn of(user_id: UserId) -> Vec<CheckIn> {
    let mut checkins = demo::checkins(&user_id.to_string());
    checkins.sort_by_key(|checkin| std::cmp::Reverse(checkin.date));
    checkins
}

/// The demo cohort's ids, for the page that greets a newcomer.
pub(crate) use demo::PEOPLE;
