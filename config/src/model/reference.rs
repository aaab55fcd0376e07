//! A name that was resolved: where the thing is in its list, and how the file calls it.

use core::{fmt, marker::PhantomData};
use std::sync::Arc;

use serde::{Serialize, Serializer};

/// Names one `T` of the same [`Config`](super::Config): its place in that config's list of `T`, and its name.
pub struct Ref<T> {
    index: usize,
    name: Arc<str>,
    kind: PhantomData<fn() -> T>,
}

impl<T> Ref<T> {
    /// The `T` called `name` at `index` of its list.
    pub(crate) fn new(index: usize, name: &str) -> Self {
        Self { index, name: name.into(), kind: PhantomData }
    }

    /// Place in the list of the [`Config`](super::Config), always within it.
    pub const fn index(&self) -> usize {
        self.index
    }

    /// Its name in the file.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl<T> Clone for Ref<T> {
    fn clone(&self) -> Self {
        Self { index: self.index, name: Arc::clone(&self.name), kind: PhantomData }
    }
}

impl<T> PartialEq for Ref<T> {
    fn eq(&self, other: &Self) -> bool {
        (self.index, &self.name) == (other.index, &other.name)
    }
}

impl<T> Eq for Ref<T> {}

impl<T> fmt::Debug for Ref<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}", self.name, self.index)
    }
}

impl<T> Serialize for Ref<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.name)
    }
}
