//! The work that an instance has in hand, bounded: what is too much is refused, in place of ending the instance with
//! all that it does. Where each request has an instance of its own there is one request in hand, and the host bounds
//! the instances.

use std::cell::Cell;
use std::rc::Rc;

/// The most requests that an instance answers at the same time. A host gives it fewer as a rule.
pub(crate) const MAX_REQUESTS: u32 = 128;
/// The most bytes of requests' bodies that it has in hand.
pub(crate) const MAX_BYTES: usize = 20 << 20;
/// The bytes of these that are kept for bodies that are no batches: a few that never end must not hold up the others.
const FOR_SINGLE_ITEMS: usize = 4 << 20;

/// No batch begins while its instance has so many bytes of answers to batches that their callers have not read. The
/// last that begins before adds its own.
pub(crate) const MAX_UNREAD_BYTES: usize = 40 << 20;

/// The work that an instance has in hand.
#[derive(Debug, Default)]
pub(crate) struct Load {
    requests: Cell<u32>,
    bytes: Cell<usize>,
    /// The bytes of answers to batches that their callers have not read.
    unread: Cell<usize>,
    /// A batch is being predicted.
    is_predicting_batch: Cell<bool>,
}

/// A part of the load, which is off it once this is dropped.
#[derive(Debug)]
pub(crate) struct Share {
    load: Rc<Load>,
    part: Part,
}

#[derive(Clone, Copy, Debug)]
enum Part {
    Request,
    Bytes(usize),
    Batch,
    Unread(usize),
}

impl Drop for Share {
    fn drop(&mut self) {
        let Load { requests, bytes, unread, is_predicting_batch } = &*self.load;
        match self.part {
            Part::Request => requests.set(requests.get().saturating_sub(1)),
            Part::Bytes(number) => bytes.set(bytes.get().saturating_sub(number)),
            Part::Batch => is_predicting_batch.set(false),
            Part::Unread(number) => unread.set(unread.get().saturating_sub(number)),
        }
    }
}

impl Load {
    fn share(self: &Rc<Self>, part: Part) -> Share {
        Share { load: self.clone(), part }
    }

    /// Takes on a request; `None` if there are too many.
    pub(crate) fn take_request(self: &Rc<Self>) -> Option<Share> {
        let requests = self.requests.get() + 1;
        (requests <= MAX_REQUESTS).then(|| {
            self.requests.set(requests);
            self.share(Part::Request)
        })
    }

    /// Takes on the bytes of a body; `None` if there are too many. Those of a `batch` leave room for single items.
    pub(crate) fn take_bytes(self: &Rc<Self>, bytes: usize, is_batch: bool) -> Option<Share> {
        let sum = self.bytes.get().saturating_add(bytes);
        let max = if is_batch { MAX_BYTES - FOR_SINGLE_ITEMS } else { MAX_BYTES };
        (sum <= max).then(|| {
            self.bytes.set(sum);
            self.share(Part::Bytes(bytes))
        })
    }

    /// Takes on the prediction of a batch; `None` while another is predicted, or too much that was answered is not read
    /// yet. An instance has one processor, so that several at the same time would take as long and several times the
    /// memory.
    pub(crate) fn take_batch(self: &Rc<Self>) -> Option<Share> {
        let has_room = self.unread.get() < MAX_UNREAD_BYTES;
        (has_room && !self.is_predicting_batch.replace(true)).then(|| self.share(Part::Batch))
    }

    /// Takes on an answer to a batch of so many bytes, until its caller has read it.
    pub(crate) fn take_unread(self: &Rc<Self>, bytes: usize) -> Share {
        self.unread.set(self.unread.get().saturating_add(bytes));
        self.share(Part::Unread(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_no_more_in_hand_than_there_may_be_and_what_is_done_makes_room() {
        let load = Rc::new(Load::default());
        let requests: Vec<_> = (0..MAX_REQUESTS).filter_map(|_| load.take_request()).collect();
        assert!(requests.len() == 128 && load.take_request().is_none());
        drop(requests);
        assert!(load.take_request().is_some());
        let batches: Vec<_> = (0..60).filter_map(|_| load.take_bytes(4 << 20, true)).collect();
        assert_eq!(batches.len(), 4, "of 60 bodies of 4 MiB");
        let single: Vec<_> = (0..60).filter_map(|_| load.take_bytes(256 << 10, false)).collect();
        assert_eq!(single.len(), 16, "there is room for them");
        drop((batches, single));
        assert_eq!(load.bytes.get(), 0);
        let one = load.take_batch();
        assert!(one.is_some() && load.take_batch().is_none());
        drop(one);
        assert!(load.take_batch().is_some());
        let unread: Vec<_> = (0..3).map(|_| load.take_unread(15 << 20)).collect();
        assert!(load.take_batch().is_none(), "three answers are not read");
        drop(unread.into_iter().next());
        assert!(load.take_batch().is_some());
    }
}
