//! `spin:key-value@3.0.0`, and `fermyon:spin/key-value@2.0.0`, which is synchronous to the guest.

use crate::bindings::fermyon::spin::key_value as v2;
use crate::bindings::spin::key_value::key_value::{Error, Host, HostStore, HostStoreWithStore};
use crate::guest::{Guest, GuestData};
use crate::store::Store;
use std::sync::Arc;
use wasmtime::Result;
use wasmtime::component::{Accessor, FutureReader, Resource, StreamReader};

/// A store that a guest has opened.
#[allow(unreachable_pub, reason = "the generated bindings re-export it")]
pub struct OpenStore(pub(crate) Arc<Store>);

fn opened<T: 'static>(accessor: &Accessor<T, GuestData>, store: &Resource<OpenStore>) -> Result<Arc<Store>> {
    accessor.with(|mut access| access.get().opened(store))
}

impl<T: Send + 'static> HostStoreWithStore<T> for GuestData {
    async fn open(accessor: &Accessor<T, Self>, label: String) -> Result<Result<Resource<OpenStore>, Error>> {
        accessor.with(|mut access| {
            let guest = access.get();
            match guest.shared.stores.get(&label).cloned() {
                Some(store) => Ok(Ok(guest.table.push(OpenStore(store))?)),
                None => Ok(Err(Error::AccessDenied)),
            }
        })
    }

    async fn get(
        accessor: &Accessor<T, Self>,
        store: Resource<OpenStore>,
        key: String,
    ) -> Result<Result<Option<Vec<u8>>, Error>> {
        let store = opened(accessor, &store)?;
        store.faults.check_trap()?;
        Ok(store.get(&key).await.map_err(Error::Other))
    }

    async fn set(
        accessor: &Accessor<T, Self>,
        store: Resource<OpenStore>,
        key: String,
        value: Vec<u8>,
    ) -> Result<Result<(), Error>> {
        Ok(opened(accessor, &store)?.set(&key, &value).await.map_err(Error::Other))
    }

    async fn delete(
        accessor: &Accessor<T, Self>,
        store: Resource<OpenStore>,
        key: String,
    ) -> Result<Result<(), Error>> {
        Ok(opened(accessor, &store)?.delete(&key).await.map_err(Error::Other))
    }

    async fn exists(
        accessor: &Accessor<T, Self>,
        store: Resource<OpenStore>,
        key: String,
    ) -> Result<Result<bool, Error>> {
        Ok(opened(accessor, &store)?.exists(&key).await.map_err(Error::Other))
    }

    async fn get_keys(
        accessor: &Accessor<T, Self>,
        store: Resource<OpenStore>,
    ) -> Result<(StreamReader<String>, FutureReader<Result<(), Error>>)> {
        let (keys, result) = match opened(accessor, &store)?.keys().await {
            Ok(keys) => (keys, Ok(())),
            Err(error) => (Vec::new(), Err(Error::Other(error))),
        };
        accessor.with(|mut access| {
            let keys = StreamReader::new(&mut access, keys)?;
            let result = FutureReader::new(&mut access, async move { wasmtime::error::Ok(result) })?;
            Ok((keys, result))
        })
    }
}

impl Guest {
    /// Returns the store behind a resource.
    pub(crate) fn opened(&self, store: &Resource<OpenStore>) -> Result<Arc<Store>> {
        Ok(self.table.get(store)?.0.clone())
    }
}

impl HostStore for &mut Guest {
    async fn drop(&mut self, store: Resource<OpenStore>) -> Result<()> {
        self.table.delete(store)?;
        Ok(())
    }
}

impl Host for &mut Guest {}

impl v2::Host for &mut Guest {}

impl v2::HostStore for &mut Guest {
    async fn open(&mut self, label: String) -> Result<Result<Resource<OpenStore>, v2::Error>> {
        self.enter(|calls| &mut calls.store.open).await;
        match self.shared.stores.get(&label).cloned() {
            Some(store) => Ok(Ok(self.table.push(OpenStore(store))?)),
            None => Ok(Err(v2::Error::AccessDenied)),
        }
    }

    async fn get(&mut self, store: Resource<OpenStore>, key: String) -> Result<Result<Option<Vec<u8>>, v2::Error>> {
        self.enter(|calls| &mut calls.store.get).await;
        let store = self.opened(&store)?;
        store.faults.check_trap()?;
        Ok(store.get(&key).await.map_err(v2::Error::Other))
    }

    async fn set(&mut self, store: Resource<OpenStore>, key: String, value: Vec<u8>) -> Result<Result<(), v2::Error>> {
        self.enter(|calls| &mut calls.store.set).await;
        Ok(self.opened(&store)?.set(&key, &value).await.map_err(v2::Error::Other))
    }

    async fn delete(&mut self, store: Resource<OpenStore>, key: String) -> Result<Result<(), v2::Error>> {
        self.enter(|calls| &mut calls.store.delete).await;
        Ok(self.opened(&store)?.delete(&key).await.map_err(v2::Error::Other))
    }

    async fn exists(&mut self, store: Resource<OpenStore>, key: String) -> Result<Result<bool, v2::Error>> {
        self.enter(|calls| &mut calls.store.exists).await;
        Ok(self.opened(&store)?.exists(&key).await.map_err(v2::Error::Other))
    }

    async fn get_keys(&mut self, store: Resource<OpenStore>) -> Result<Result<Vec<String>, v2::Error>> {
        self.enter(|calls| &mut calls.store.other).await;
        Ok(self.opened(&store)?.keys().await.map_err(v2::Error::Other))
    }

    async fn drop(&mut self, store: Resource<OpenStore>) -> Result<()> {
        self.table.delete(store)?;
        Ok(())
    }
}
