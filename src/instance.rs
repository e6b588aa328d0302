//! The state that one instance of the component keeps from request to request, put together. The host may drop it at
//! any await, so nothing here is more than a saved call.

use crate::access::Access;
use crate::access::rate_limit::RateLimiter;
use crate::cache::PredictionCache;
use crate::checkins::CheckIns;
use crate::config::Settings;
use crate::jobs::Jobs;
use crate::load::Load;
use crate::platform::Platform;
use crate::problem::Problem;
use crate::store::{Layout, Store};
use crate::telemetry::log;
use crate::telemetry::metrics::{self, INSTANCES};
use crate::telemetry::totals::Totals;
use std::cell::RefCell;
use std::rc::Rc;

/// One instance of the component.
pub struct Instance<P: Platform> {
    pub(crate) platform: P,
    settings: RefCell<Option<Rc<Settings>>>,
    pub(crate) load: Rc<Load>,
    pub(crate) store: Rc<Store<P>>,
    pub(crate) access: Access<P>,
    pub(crate) rate_limiter: RateLimiter<P>,
    pub(crate) cache: PredictionCache<P>,
    pub(crate) checkins: CheckIns<P>,
    pub(crate) jobs: Jobs<P>,
    pub(crate) totals: Rc<Totals<P>>,
}

impl<P: Platform> Instance<P> {
    /// An instance that has answered nothing yet.
    pub fn new(platform: P) -> Instance<P> {
        let store = Rc::new(Store::new(platform.clone()));
        Instance {
            settings: RefCell::default(),
            load: Rc::default(),
            access: Access::new(platform.clone(), store.clone()),
            rate_limiter: RateLimiter::new(platform.clone(), store.clone()),
            cache: PredictionCache::new(platform.clone(), store.clone()),
            checkins: CheckIns::new(platform.clone()),
            jobs: Jobs::new(platform.clone(), store.clone()),
            totals: Rc::new(Totals::new(platform.clone(), store.clone())),
            store,
            platform,
        }
    }

    /// The configuration, if it was read.
    pub(crate) fn known_settings(&self) -> Option<Rc<Settings>> {
        self.settings.borrow().clone()
    }

    /// True if the work that is left when an answer is ready may follow it. Without a configuration there is none.
    pub fn works_after_response(&self) -> bool {
        self.known_settings().is_none_or(|settings| settings.work_after_response)
    }

    /// The configuration, read once: a variable does not change while the application runs.
    pub(crate) async fn settings(&self) -> Result<Rc<Settings>, Problem> {
        if let Some(settings) = &*self.settings.borrow() {
            return Ok(settings.clone());
        }
        let settings = Rc::new(Settings::read(&self.platform).await?);
        if self.settings.borrow_mut().replace(settings.clone()).is_none() {
            let layout = Layout::new(settings.cache_slots);
            self.store.configure(settings.store_secrets.clone(), settings.redis.clone(), layout);
            log::configure(settings.log_level, settings.log_format);
            log::instance_started();
            metrics::add(&INSTANCES, &[], 1);
        }
        Ok(settings)
    }
}
