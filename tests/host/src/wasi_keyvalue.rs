//! `wasi:keyvalue@0.2.0-draft2`: store, atomics, batch. Synchronous to the guest: it holds up its instance.

use crate::bindings::wasi::keyvalue::{atomics, batch, store};
use crate::guest::Guest;
use crate::key_value::OpenStore;
use crate::store::Store;
use std::sync::Arc;
use store::{Error, KeyResponse};
use wasmtime::Result;
use wasmtime::component::Resource;

/// A compare-and-swap that has begun.
#[allow(unreachable_pub, reason = "the generated bindings re-export it")]
pub struct Cas {
    store: Arc<Store>,
    key: String,
    /// The key's value when the guest read it.
    expected: Option<Vec<u8>>,
}

impl store::Host for &mut Guest {
    async fn open(&mut self, identifier: String) -> Result<Result<Resource<OpenStore>, Error>> {
        self.enter(|calls| &mut calls.store.open).await;
        match self.shared.stores.get(&identifier).cloned() {
            Some(store) => Ok(Ok(self.table.push(OpenStore(store))?)),
            None => Ok(Err(Error::AccessDenied)),
        }
    }
}

impl store::HostBucket for &mut Guest {
    async fn get(&mut self, bucket: Resource<OpenStore>, key: String) -> Result<Result<Option<Vec<u8>>, Error>> {
        self.enter(|calls| &mut calls.store.get).await;
        let bucket = self.opened(&bucket)?;
        bucket.faults.check_trap()?;
        Ok(bucket.get(&key).await.map_err(Error::Other))
    }

    async fn set(&mut self, bucket: Resource<OpenStore>, key: String, value: Vec<u8>) -> Result<Result<(), Error>> {
        self.enter(|calls| &mut calls.store.set).await;
        Ok(self.opened(&bucket)?.set(&key, &value).await.map_err(Error::Other))
    }

    async fn delete(&mut self, bucket: Resource<OpenStore>, key: String) -> Result<Result<(), Error>> {
        self.enter(|calls| &mut calls.store.delete).await;
        Ok(self.opened(&bucket)?.delete(&key).await.map_err(Error::Other))
    }

    async fn exists(&mut self, bucket: Resource<OpenStore>, key: String) -> Result<Result<bool, Error>> {
        self.enter(|calls| &mut calls.store.exists).await;
        Ok(self.opened(&bucket)?.exists(&key).await.map_err(Error::Other))
    }

    /// Lists all keys in one page, so there never is a cursor to go on from.
    async fn list_keys(
        &mut self,
        bucket: Resource<OpenStore>,
        cursor: Option<String>,
    ) -> Result<Result<KeyResponse, Error>> {
        self.enter(|calls| &mut calls.store.other).await;
        if cursor.is_some() {
            return Ok(Err(Error::Other("there is no such cursor".to_owned())));
        }
        let keys = self.opened(&bucket)?.keys().await;
        Ok(keys.map(|keys| KeyResponse { keys, cursor: None }).map_err(Error::Other))
    }

    async fn drop(&mut self, bucket: Resource<OpenStore>) -> Result<()> {
        self.table.delete(bucket)?;
        Ok(())
    }
}

impl atomics::Host for &mut Guest {
    async fn increment(&mut self, bucket: Resource<OpenStore>, key: String, delta: i64) -> Result<Result<i64, Error>> {
        self.enter(|calls| &mut calls.store.increment).await;
        Ok(self.opened(&bucket)?.increment(&key, delta).await.map_err(Error::Other))
    }

    async fn swap(&mut self, cas: Resource<Cas>, value: Vec<u8>) -> Result<Result<(), atomics::CasError>> {
        self.enter(|calls| &mut calls.store.other).await;
        let Cas { store, key, expected } = self.table.delete(cas)?;
        match store.swap(&key, expected.as_deref(), &value).await {
            Ok(true) => Ok(Ok(())),
            Ok(false) => match store.get(&key).await {
                Ok(expected) => {
                    let again = self.table.push(Cas { store, key, expected })?;
                    Ok(Err(atomics::CasError::CasFailed(again)))
                }
                Err(error) => Ok(Err(atomics::CasError::StoreError(Error::Other(error)))),
            },
            Err(error) => Ok(Err(atomics::CasError::StoreError(Error::Other(error)))),
        }
    }
}

impl atomics::HostCas for &mut Guest {
    async fn new(&mut self, bucket: Resource<OpenStore>, key: String) -> Result<Result<Resource<Cas>, Error>> {
        self.enter(|calls| &mut calls.store.other).await;
        let store = self.opened(&bucket)?;
        match store.get(&key).await {
            Ok(expected) => Ok(Ok(self.table.push(Cas { store, key, expected })?)),
            Err(error) => Ok(Err(Error::Other(error))),
        }
    }

    async fn current(&mut self, cas: Resource<Cas>) -> Result<Result<Option<Vec<u8>>, Error>> {
        self.enter(|calls| &mut calls.store.other).await;
        Ok(Ok(self.table.get(&cas)?.expected.clone()))
    }

    async fn drop(&mut self, cas: Resource<Cas>) -> Result<()> {
        self.table.delete(cas)?;
        Ok(())
    }
}

impl batch::Host for &mut Guest {
    async fn get_many(
        &mut self,
        bucket: Resource<OpenStore>,
        keys: Vec<String>,
    ) -> Result<Result<Vec<(String, Option<Vec<u8>>)>, Error>> {
        self.enter(|calls| &mut calls.store.other).await;
        let store = self.opened(&bucket)?;
        let mut found = Vec::with_capacity(keys.len());
        for key in keys {
            match store.get(&key).await {
                Ok(value) => found.push((key, value)),
                Err(error) => return Ok(Err(Error::Other(error))),
            }
        }
        Ok(Ok(found))
    }

    async fn set_many(
        &mut self,
        bucket: Resource<OpenStore>,
        entries: Vec<(String, Vec<u8>)>,
    ) -> Result<Result<(), Error>> {
        self.enter(|calls| &mut calls.store.other).await;
        let store = self.opened(&bucket)?;
        for (key, value) in entries {
            if let Err(error) = store.set(&key, &value).await {
                return Ok(Err(Error::Other(error)));
            }
        }
        Ok(Ok(()))
    }

    async fn delete_many(&mut self, bucket: Resource<OpenStore>, keys: Vec<String>) -> Result<Result<(), Error>> {
        self.enter(|calls| &mut calls.store.other).await;
        let store = self.opened(&bucket)?;
        for key in keys {
            if let Err(error) = store.delete(&key).await {
                return Ok(Err(Error::Other(error)));
            }
        }
        Ok(Ok(()))
    }
}
