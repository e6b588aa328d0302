//! From rows to margins.
//!
//! A walk's steps each wait for memory, and a branch on what they find could not be foreseen. So nothing branches on
//! the row, and eight walks go side by side and wait together: one row through eight trees, or eight rows through one
//! tree.

#![allow(
    unsafe_code,
    reason = "bounds checks take 40 % of a row's time in Wasm; `Forest::new` has checked once what they would check at every step"
)]

use crate::layout::{Forest, Link, Node, Reading, Shape};
use crate::number::{Number, key};
use std::borrow::Cow;

/// Number of walks that go side by side.
const LANES: usize = 8;

/// Groups of `LANES` rows that go through a tree before the next tree: while it is in the cache.
const GROUPS: usize = 4;

/// Up to this depth walks take all the steps that there may be, and nothing asks whether they have arrived.
const SHALLOW: usize = 6;

const PLAIN: u8 = Shape::Plain as u8;
const EXITS: u8 = Shape::Exits as u8;
const SETS: u8 = Shape::Sets as u8;

impl<T: Number> Forest<'_, T> {
    /// Returns the margin of one row: the base margin, then every tree's leaf added in file order and in the library's
    /// own precision, so that the bits are the library's. `None` if the row is not `features` long.
    pub fn margin(&self, row: &[T]) -> Option<T> {
        if !self.parts().linear.leaves.is_empty() {
            return Some(self.staged_margins(row)?.last().copied().unwrap_or(self.parts().base_margin));
        }
        let row = self.canonical(row)?;
        Some(match self.keys::<i64, 1>([&row]) {
            Some(keys) => self.over_trees(&keys),
            None if every_value_has_a_key::<T>() => return None,
            None => self.over_trees(&self.keys::<Exact, 1>([&row])?),
        })
    }

    /// Computes the margin of each of several rows, which stand one after the other. The same bits as row by row, in
    /// less time. `None` if `rows` is not `features` times as long as `margins`.
    pub fn margins(&self, rows: &[T], margins: &mut [T]) -> Option<()> {
        let features = self.parts().features;
        if features.checked_mul(margins.len()) != Some(rows.len()) {
            return None;
        }
        margins.fill(self.parts().base_margin);
        let (mut rows, mut margins) = (rows, margins);
        // Those of linear leaves are computed row by row.
        while margins.len() >= LANES && self.parts().linear.leaves.is_empty() {
            let groups = (margins.len() / LANES).min(GROUPS);
            let (block, rest) = rows.split_at_checked(features * LANES * groups)?;
            let (own, others) = margins.split_at_mut_checked(LANES * groups)?;
            let canonical: Vec<Cow<'_, [T]>> =
                block.chunks(features).map(|row| self.canonical(row)).collect::<Option<_>>()?;
            let keys: Option<Vec<_>> =
                canonical.as_chunks().0.iter().map(|rows| self.keys::<i64, LANES>(rows.each_ref())).collect();
            match keys {
                Some(keys) => self.over_rows(&keys, own),
                None if every_value_has_a_key::<T>() => return None,
                None => {
                    let rows = canonical.as_chunks().0.iter();
                    let keys: Option<Vec<_>> = rows.map(|rows| self.keys::<Exact, LANES>(rows.each_ref())).collect();
                    self.over_rows(&keys?, own);
                }
            }
            (rows, margins) = (rest, others);
        }
        for (row, margin) in rows.chunks(features).zip(margins) {
            *margin = self.margin(row)?;
        }
        Some(())
    }

    /// Returns the row with every value that means missing made NaN. `None` if it is not `features` long.
    pub(crate) fn canonical<'r>(&self, row: &'r [T]) -> Option<Cow<'r, [T]>> {
        if row.len() != self.parts().features {
            return None;
        }
        if self.parts().zero_is_missing.is_empty() {
            return Some(Cow::Borrowed(row));
        }
        let mut row = row.to_vec();
        for &feature in self.parts().zero_is_missing {
            let value = row.get_mut(usize::from(feature))?;
            if value.is_almost_zero() {
                *value = T::NAN;
            }
        }
        Some(Cow::Owned(row))
    }

    /// Returns the keys of `N` canonical rows, slot by slot, for the readings that the forest has. `None` if a value
    /// has no key.
    pub(crate) fn keys<K: Key<T>, const N: usize>(&self, rows: [impl AsRef<[T]>; N]) -> Option<Vec<[K; N]>> {
        let features = self.parts().features;
        let [to_left, to_right, exits, set_inside, set_outside] = self.readings();
        // Of readings that the forest does not have nobody asks.
        let mut keys = vec![[K::UNREAD; N]; self.shape().slots(features)];
        *keys.first_mut()? = [K::LEAF; N];
        let mut exact = true;
        for (lane, row) in rows.iter().enumerate() {
            let row = row.as_ref();
            let mut readings = keys.get_mut(1..)?.chunks_exact_mut(features);
            let (left, right) = (readings.next()?, readings.next()?);
            if to_left || to_right {
                // One loop for both: most forests have both, and what takes the time is the key.
                for ((&value, left), right) in row.iter().zip(left).zip(right) {
                    let (key, is_exact) = K::of(value);
                    let missing = value.is_missing();
                    exact &= is_exact | missing;
                    left[lane] = if missing { K::MISSING_LEFT } else { key };
                    right[lane] = if missing { K::MISSING_RIGHT } else { key };
                }
            }
            if exits {
                for (&value, exit) in row.iter().zip(readings.next()?) {
                    exit[lane] = if value.is_missing() { K::MISSING_EXIT } else { K::of(value).0 };
                }
            }
            if set_inside || set_outside {
                let mut readings = readings.skip(usize::from(!exits));
                for ((&value, inside), outside) in row.iter().zip(readings.next()?).zip(readings.next()?) {
                    let category = value.category().map_or(NO_CATEGORY, |category| category as i32);
                    inside[lane] = K::of_category(if value.is_missing() { MISSING_INSIDE } else { category });
                    outside[lane] = K::of_category(category);
                }
            }
        }
        exact.then_some(keys)
    }

    /// Returns the margin of one row, by its keys.
    fn over_trees<K: Key<T>>(&self, keys: &[[K; 1]]) -> T {
        match self.shape() {
            Shape::Plain => self.one_row::<K, PLAIN>(keys),
            Shape::Exits => self.one_row::<K, EXITS>(keys),
            Shape::Sets => self.one_row::<K, SETS>(keys),
        }
    }

    fn one_row<K: Key<T>, const SHAPE: u8>(&self, keys: &[[K; 1]]) -> T {
        // What `step` relies on.
        assert!(keys.len() == self.shape().slots(self.parts().features) && self.shape() as u8 == SHAPE);
        let mut margin = self.parts().base_margin;
        let (groups, rest) = self.parts().roots.as_chunks::<LANES>();
        for roots in groups {
            // SAFETY: keys and shape are the forest's, and a walk begins at a root.
            unsafe {
                let leaves = self.arrive::<K, 1, SHAPE, LANES>(keys, roots.map(|root| root as usize), [0; LANES]);
                for leaf in leaves {
                    margin += self.leaf(leaf);
                }
            }
        }
        for &root in rest {
            // SAFETY: as above.
            unsafe {
                let [leaf] = self.arrive::<K, 1, SHAPE, 1>(keys, [root as usize], [0]);
                margin += self.leaf(leaf);
            }
        }
        margin
    }

    /// Adds every tree's leaf to the margins of groups of rows, by their keys.
    fn over_rows<K: Key<T>>(&self, groups: &[Vec<[K; LANES]>], margins: &mut [T]) {
        match self.shape() {
            Shape::Plain => self.rows::<K, PLAIN>(groups, margins),
            Shape::Exits => self.rows::<K, EXITS>(groups, margins),
            Shape::Sets => self.rows::<K, SETS>(groups, margins),
        }
    }

    fn rows<K: Key<T>, const SHAPE: u8>(&self, groups: &[Vec<[K; LANES]>], margins: &mut [T]) {
        // What `step` relies on.
        let slots = self.shape().slots(self.parts().features);
        assert!(groups.iter().all(|keys| keys.len() == slots) && self.shape() as u8 == SHAPE);
        for &root in self.parts().roots {
            for (keys, margins) in groups.iter().zip(margins.as_chunks_mut::<LANES>().0) {
                // SAFETY: keys and shape are the forest's, and a walk begins at a root.
                let leaves = unsafe {
                    self.arrive::<K, LANES, SHAPE, LANES>(
                        keys,
                        [root as usize; LANES],
                        std::array::from_fn(|lane| lane),
                    )
                };
                for lane in 0..LANES {
                    // SAFETY: as above.
                    margins[lane] += unsafe { self.leaf(leaves[lane]) };
                }
            }
        }
    }

    /// Walks from each of `roots`, by index, to a leaf; walk `lane` goes by the keys of row `rows[lane]` of `N`.
    ///
    /// # Safety
    /// As for [`Forest::step`], for every lane.
    #[inline(always)]
    unsafe fn arrive<K: Key<T>, const N: usize, const SHAPE: u8, const WALKS: usize>(
        &self,
        keys: &[[K; N]],
        roots: [usize; WALKS],
        rows: [usize; WALKS],
    ) -> [Cursor; WALKS] {
        // SAFETY: the caller's.
        let mut cursors = roots.map(|root| unsafe { Cursor::at(self.parts().nodes.as_ptr().add(root)) });
        if self.parts().depth <= SHALLOW {
            for _ in 0..self.parts().depth {
                for lane in 0..WALKS {
                    // SAFETY: the caller's; a step leads to a node of the same tree.
                    cursors[lane] = unsafe { self.step::<K, N, SHAPE>(keys, rows[lane], cursors[lane]) };
                }
            }
            debug_assert!(cursors.iter().all(|cursor| cursor.node.way() == 0));
            return cursors;
        }
        loop {
            // Two steps a question whether all have arrived.
            for _ in 0..2 {
                for lane in 0..WALKS {
                    // SAFETY: as above.
                    cursors[lane] = unsafe { self.step::<K, N, SHAPE>(keys, rows[lane], cursors[lane]) };
                }
            }
            if cursors.iter().fold(0, |ways, cursor| ways | cursor.node.way()) == 0 {
                return cursors;
            }
        }
    }

    /// Returns the next node for row `row` of the keys: a leaf itself.
    ///
    /// # Safety
    /// `from` is one of the nodes, `row` below `N`, `SHAPE` is the forest's, and there are as many keys as it has
    /// slots. [`Forest::new`] has made sure that then the slot is one of the keys, and the next place a node of the
    /// same tree: a split's distance is at most `children` + 1, + 2 if it has an exit; slot 0 is below every leaf's
    /// bits, so a leaf's is 0.
    #[inline(always)]
    unsafe fn step<K: Key<T>, const N: usize, const SHAPE: u8>(
        &self,
        keys: &[[K; N]],
        row: usize,
        from: Cursor,
    ) -> Cursor {
        let Cursor { at, node } = from;
        debug_assert!(node.slot() < keys.len() && row < N);
        // SAFETY: the slot is below the number of slots, which is that of the keys.
        let key = unsafe { *keys.get_unchecked(node.slot()).get_unchecked(row) };
        let child = if SHAPE == SETS && node.slot() >= Reading::SetMissingInside.first_slot(self.parts().features) {
            let category = key.category();
            usize::from(!(category == MISSING_INSIDE || self.has(node.threshold(), category)))
        } else {
            // SAFETY: the caller's.
            let child =
                usize::from(key.goes_right(node, || unsafe { self.parts().numbers.get(self.index(at)).copied() }));
            if SHAPE == PLAIN { child } else { child + key.exits() }
        };
        let distance = node.children() + child;
        // SAFETY: the caller's.
        debug_assert!(unsafe { self.index(at) } + distance < self.parts().nodes.len());
        // Loaded at once: the compiler that turns Wasm into machine code then finishes this walk's step before the next
        // one's, where it would put off the sums of all walks and run out of registers.
        // SAFETY: as said above.
        unsafe { Cursor::at(at.add(distance)) }
    }

    /// Returns the index of the child that a row with these keys goes to from a split.
    ///
    /// # Safety
    /// `split` is that at `at`; as for [`Forest::step`].
    #[inline(always)]
    pub(crate) unsafe fn step_from<K: Key<T>, const SHAPE: u8>(
        &self,
        keys: &[[K; 1]],
        at: usize,
        split: Node,
    ) -> usize {
        // SAFETY: the caller's.
        unsafe {
            let from = Cursor { at: self.parts().nodes.as_ptr().add(at), node: split };
            self.index(self.step::<K, 1, SHAPE>(keys, 0, from).at)
        }
    }

    /// Returns the index of a node.
    ///
    /// # Safety
    /// It is one of the nodes.
    #[inline(always)]
    unsafe fn index(&self, at: *const Node) -> usize {
        // SAFETY: both are in one slice.
        unsafe { at.offset_from_unsigned(self.parts().nodes.as_ptr()) }
    }

    /// Returns the value of a leaf.
    ///
    /// # Safety
    /// It is one of the nodes.
    #[inline(always)]
    unsafe fn leaf(&self, cursor: Cursor) -> T {
        // SAFETY: the caller's.
        unsafe { self.leaf_at(self.index(cursor.at), cursor.node) }
    }

    /// Returns the value of a leaf.
    ///
    /// # Safety
    /// It is that at `at`.
    #[inline(always)]
    pub(crate) unsafe fn leaf_at(&self, at: usize, leaf: Node) -> T {
        if self.parts().numbers.is_empty() {
            T::from_leaf_bits(leaf.threshold())
        } else {
            // SAFETY: `Forest::new` has made sure that there are as many numbers as nodes, or none.
            unsafe { *self.parts().numbers.get_unchecked(at) }
        }
    }
}

/// Position of a walk.
#[derive(Clone, Copy)]
struct Cursor {
    at: *const Node,
    node: Node,
}

impl Cursor {
    /// # Safety
    /// There is a node.
    #[inline(always)]
    unsafe fn at(at: *const Node) -> Cursor {
        // SAFETY: the caller's.
        Cursor { at, node: unsafe { *at } }
    }
}

/// The key of a value that names no category, and of a missing one that counts as outside. No set has it.
const NO_CATEGORY: i32 = -1;
/// The key of a missing value that counts as inside.
const MISSING_INSIDE: i32 = -2;

/// A value as splits see it.
pub(crate) trait Key<T>: Copy {
    /// In slots that no split reads: zero, which memory can be had full of.
    const UNREAD: Self;
    /// In slot 0: left of everything.
    const LEAF: Self;
    const MISSING_LEFT: Self;
    const MISSING_RIGHT: Self;
    const MISSING_EXIT: Self;

    /// Returns the key of a value that is not missing, and whether it is exact.
    fn of(value: T) -> (Self, bool);

    fn of_category(category: i32) -> Self;

    fn category(self) -> i32;

    fn goes_right(self, node: Node, number: impl FnOnce() -> Option<T>) -> bool;

    /// Returns 1 for a missing value that exits, else 0.
    fn exits(self) -> usize;
}

impl<T: Number> Key<T> for i64 {
    const UNREAD: i64 = 0;
    const LEAF: i64 = i64::MIN;
    const MISSING_LEFT: i64 = wide(i32::MIN);
    const MISSING_RIGHT: i64 = wide(i32::MAX - 1);
    const MISSING_EXIT: i64 = wide(i32::MAX) | 1;

    #[inline(always)]
    fn of(value: T) -> (i64, bool) {
        let number: f64 = value.into();
        let narrow = number as f32;
        (wide(key(narrow)), f64::from(narrow) == number)
    }

    #[inline(always)]
    fn of_category(category: i32) -> i64 {
        wide(category)
    }

    #[inline(always)]
    fn category(self) -> i32 {
        (self >> 32) as i32
    }

    #[inline(always)]
    fn goes_right(self, node: Node, _: impl FnOnce() -> Option<T>) -> bool {
        self >= node.bits()
    }

    #[inline(always)]
    fn exits(self) -> usize {
        (self & 1) as usize
    }
}

/// Makes a key in the order of `order`. The last bit is for those that exit; no node has all of the others in its lower
/// half, of which 16 are a slot.
#[inline(always)]
const fn wide(order: i32) -> i64 {
    (order as i64) << 32 | 0xffff_fffe
}

/// Tells if the numbers are f32s. Code for values without a key then takes no room in a module.
pub(crate) const fn every_value_has_a_key<T>() -> bool {
    size_of::<T>() == size_of::<f32>()
}

/// A value as it is, for those that no f32 is: held against the f64 thresholds.
#[derive(Clone, Copy)]
pub(crate) struct Exact(f64);

impl<T: Number> Key<T> for Exact {
    const UNREAD: Exact = Exact(0.0);
    // Thresholds may be infinite: -inf <= -inf goes left, and NaN <= inf does not.
    const LEAF: Exact = Exact(f64::NEG_INFINITY);
    const MISSING_LEFT: Exact = Exact(f64::NEG_INFINITY);
    const MISSING_RIGHT: Exact = Exact(f64::NAN);
    // A forest in f64 has no exits.
    const MISSING_EXIT: Exact = Exact(f64::NAN);

    fn of(value: T) -> (Exact, bool) {
        (Exact(value.into()), true)
    }

    fn of_category(category: i32) -> Exact {
        Exact(category.into())
    }

    #[inline(always)]
    fn category(self) -> i32 {
        self.0 as i32
    }

    #[inline(always)]
    fn goes_right(self, _: Node, number: impl FnOnce() -> Option<T>) -> bool {
        // Said this way round slot 0 goes left whatever a leaf's number is, NaN too, which `Forest::new` cannot see.
        self.0.is_nan() | number().is_some_and(|threshold| self.0 > threshold.into())
    }

    #[inline(always)]
    fn exits(self) -> usize {
        0
    }
}

impl<T: Number> Forest<'_, T> {
    /// Returns the margin after each tree, for choosing how many trees to keep. `None` if the row is not `features`
    /// long.
    pub fn staged_margins(&self, row: &[T]) -> Option<Vec<T>> {
        let mut margin = self.parts().base_margin;
        let stages = (0..self.parts().roots.len()).map(|tree| {
            self.visit_path(tree, row, |at, link| {
                if let Link::Leaf(value) = link {
                    margin += self.leaf_output(at, value, row);
                }
            })?;
            Some(margin)
        });
        stages.collect()
    }

    /// Calls `visit` with each node of one tree that a row passes: its index in `nodes` and what it is. `None` if the
    /// row is not `features` long.
    pub fn visit_path(&self, tree: usize, row: &[T], mut visit: impl FnMut(usize, Link<T>)) -> Option<()> {
        let row = self.canonical(row)?;
        let mut at = self.tree(tree)?.start;
        loop {
            let link = self.link(at)?;
            visit(at, link);
            match self.next(link, &row)? {
                Some(child) => at = child,
                None => return Some(()),
            }
        }
    }

    /// Returns the child that a canonical row goes to, as the libraries' rules say it; none from a leaf. `None` if the
    /// row is too short.
    #[inline]
    pub(crate) fn next(&self, link: Link<T>, row: &[T]) -> Option<Option<usize>> {
        let Link::Split { feature, reading, threshold, first, .. } = link else { return Some(None) };
        let value = *row.get(feature)?;
        let in_set = || {
            let set: f64 = threshold.into();
            value.category().is_some_and(|category| self.has(set as i32, category as i32))
        };
        let child = match (reading, value.is_missing()) {
            (Reading::MissingLeft | Reading::SetMissingInside, true) => 0,
            (Reading::MissingRight | Reading::SetMissingOutside, true) => 1,
            (Reading::MissingExit, true) => 2,
            (Reading::SetMissingInside | Reading::SetMissingOutside, false) => usize::from(!in_set()),
            (_, false) => usize::from(!value.goes_left(threshold)),
        };
        Some(Some(first + child))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::{Linear, Parts};

    #[test]
    fn a_leaf_that_is_no_number_leads_nowhere_either() {
        let split = (Reading::MissingRight.first_slot(1)) as u16;
        let nodes = [Node::new(0.1.threshold_key(), split, 1), Node::new(0, 0, 0), Node::new(0, 0, 0)];
        let parts = Parts {
            base_margin: 0.0,
            features: 1,
            depth: 1,
            zero_is_missing: &[],
            roots: &[0],
            nodes: &nodes,
            numbers: &[0.1, 1.0, f64::NAN],
            covers: &[],
            path_features: &[],
            set_starts: &[],
            set_words: &[],
            linear: Linear::NONE,
        };
        let forest = Forest::new(parts).expect("the parts fit together");
        // 0.1 is no f32, so these are held against the f64 numbers; the leaf to the right is the last node there is.
        assert_eq!(forest.margin(&[0.1]), Some(1.0));
        assert!(forest.margin(&[0.1f64.next_up()]).is_some_and(f64::is_nan));
        let mut margins = [0.0; 9];
        assert_eq!(forest.margins(&[0.1f64.next_up(); 9], &mut margins), Some(()));
        assert!(margins.iter().all(|margin| margin.is_nan()));
    }
}
