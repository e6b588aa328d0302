//! What one instance of the component keeps from request to request. The host may drop it at any await, so
//! nothing here is more than a saved call.

use crate::platform::Platform;
use crate::problem::Problem;
use crate::settings::Settings;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Instant;

/// One instance.
pub(crate) struct Instance<P> {
    pub(crate) platform: P,
    settings: RefCell<Option<Rc<Settings>>>,
    /// Until when the store is left alone, because it was too slow the last time.
    pub(crate) store_rests_until: Cell<Option<Instant>>,
}

impl<P: Platform> Instance<P> {
    pub(crate) const fn new(platform: P) -> Instance<P> {
        Instance { platform, settings: RefCell::new(None), store_rests_until: Cell::new(None) }
    }

    /// The configuration, read once: a variable does not change while the application runs.
    pub(crate) async fn settings(&self) -> Result<Rc<Settings>, Problem> {
        if let Some(settings) = &*self.settings.borrow() {
            return Ok(settings.clone());
        }
        let settings = Rc::new(Settings::read(&self.platform).await?);
        *self.settings.borrow_mut() = Some(settings.clone());
        Ok(settings)
    }
}
