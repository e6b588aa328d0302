//! What one instance of the component keeps from request to request. The host may drop it at any await, so
//! nothing here is more than a saved call.

use crate::access::rate_limit::Counts;
use crate::access::{KeySet, Remembered};
use crate::checkins::Flights;
use crate::platform::Platform;
use crate::problem::Problem;
use crate::request::UserId;
use crate::settings::Settings;
use crate::telemetry::log;
use crate::telemetry::metrics::{self, INSTANCES};
use hmac::Hmac;
use jiff::Timestamp;
use sha2::Sha256;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Instant;

/// One instance.
pub(crate) struct Instance<P> {
    pub(crate) platform: P,
    settings: RefCell<Option<Rc<Settings>>>,
    /// Until when the store is left alone, because it was too slow the last time.
    pub(crate) store_rests_until: Cell<Option<Instant>>,
    /// Until when the store counts as well, because it answered in time.
    pub(crate) store_well_until: Cell<Option<Instant>>,
    /// What keys of the store are hashed with.
    pub(crate) keyed_hash: RefCell<Option<Hmac<Sha256>>>,
    /// The last person that was hashed, and the whole of the hash.
    pub(crate) person_before: Cell<Option<(UserId, [u8; 32])>>,
    /// The keys that sign the project's tokens, as last seen.
    pub(crate) key_set: RefCell<Rc<KeySet>>,
    /// Tokens that were checked.
    pub(crate) tokens: RefCell<Remembered>,
    /// How often callers have asked, as far as this instance knows.
    pub(crate) counts: Counts,
    /// Up to when the host was handed what was counted.
    pub(crate) exported_until: Cell<Timestamp>,
    /// Counts are being written to the store.
    pub(crate) telling: Cell<bool>,
    /// Questions to the database that are under way.
    pub(crate) flights: Flights,
}

impl<P: Platform> Instance<P> {
    pub(crate) fn new(platform: P) -> Instance<P> {
        Instance {
            platform,
            settings: RefCell::default(),
            store_rests_until: Cell::default(),
            store_well_until: Cell::default(),
            keyed_hash: RefCell::default(),
            person_before: Cell::default(),
            key_set: RefCell::default(),
            tokens: RefCell::default(),
            counts: Counts::default(),
            exported_until: Cell::new(Timestamp::now()),
            telling: Cell::default(),
            flights: Flights::default(),
        }
    }

    /// The configuration, read once: a variable does not change while the application runs.
    pub(crate) async fn settings(&self) -> Result<Rc<Settings>, Problem> {
        if let Some(settings) = &*self.settings.borrow() {
            return Ok(settings.clone());
        }
        let settings = Rc::new(Settings::read(&self.platform).await?);
        if self.settings.borrow_mut().replace(settings.clone()).is_none() {
            log::configure(settings.log_level, settings.log_format);
            log::instance_started();
            metrics::add(&INSTANCES, &[], 1);
        }
        Ok(settings)
    }
}
