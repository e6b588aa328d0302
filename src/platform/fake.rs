//! A platform for tests: variables by hand, a store in memory, time that passes at once.

use super::{Fetch, FetchError, Fetched, Platform, StoreError};
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

#[derive(Clone, Default)]
pub(crate) struct Fake {
    variables: HashMap<&'static str, String>,
    pub(crate) stored: Rc<RefCell<HashMap<String, Vec<u8>>>>,
}

impl Fake {
    /// The defaults of `spin.toml` with one variable changed.
    pub(crate) fn with_variable(name: &'static str, value: &str) -> Fake {
        let mut fake = Fake::default();
        fake.variables.insert("crisis_resources", "CVV 188; findahelpline.com".to_owned());
        fake.variables.insert(name, value.to_owned());
        fake
    }
}

impl Platform for Fake {
    async fn variable(&self, name: &'static str) -> Option<String> {
        self.variables.get(name).cloned()
    }

    async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.stored.borrow().get(key).cloned())
    }

    async fn set(&self, key: &str, value: &[u8]) -> Result<(), StoreError> {
        self.stored.borrow_mut().insert(key.to_owned(), value.to_vec());
        Ok(())
    }

    async fn exists(&self, key: &str) -> Result<bool, StoreError> {
        Ok(self.stored.borrow().contains_key(key))
    }

    async fn delete(&self, key: &str) -> Result<(), StoreError> {
        self.stored.borrow_mut().remove(key);
        Ok(())
    }

    async fn fetch(&self, _: &Fetch, _: usize) -> Result<Fetched, FetchError> {
        Err(FetchError::Unreachable)
    }

    /// Longer than any test: what is waited for besides comes first.
    async fn sleep(&self, _: Duration) {
        std::future::pending().await
    }

    async fn yield_now(&self) {}

    fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        use futures::FutureExt;
        // Nothing here waits for anything.
        assert!(task.now_or_never().is_some(), "the task ended");
    }
}
