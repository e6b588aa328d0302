//! `spin:variables@3.0.0`, and `fermyon:spin/variables@2.0.0`, which is synchronous to the guest.

use crate::bindings::fermyon::spin::variables as v2;
use crate::bindings::spin::variables::variables::{Error, Host, HostWithStore};
use crate::guest::{Guest, GuestData};
use wasmtime::Result;
use wasmtime::component::Accessor;

impl<T: Send + 'static> HostWithStore<T> for GuestData {
    async fn get(accessor: &Accessor<T, Self>, name: String) -> Result<Result<String, Error>> {
        accessor.with(|mut access| {
            let value = access.get().shared.variables.get(&name).cloned();
            Ok(value.ok_or_else(|| Error::Undefined(undefined(&name))))
        })
    }
}

impl Host for &mut Guest {}

impl v2::Host for &mut Guest {
    async fn get(&mut self, name: String) -> Result<Result<String, v2::Error>> {
        self.enter(|calls| &mut calls.variables).await;
        let value = self.shared.variables.get(&name).cloned();
        Ok(value.ok_or_else(|| v2::Error::Undefined(undefined(&name))))
    }
}

fn undefined(name: &str) -> String {
    format!("no variable for {name:?}")
}
