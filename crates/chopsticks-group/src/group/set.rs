//! Groups as sets of names.

use std::{
    collections::HashSet,
    ops::{Add, BitAnd, BitOr, BitXor, Sub},
};

use crate::{group::Group, member::Member};

impl<T: Member> Group<T> {
    /// Returns the targets of this group, followed by the targets of `other` that are not in this group.
    #[must_use]
    pub fn union(&self, other: impl Into<Self>) -> Self {
        let names: HashSet<_> = self.names().collect();
        let other = other.into();
        let new = other.targets.iter().filter(|target| !names.contains(&target.name()));
        Self::of(self.targets.iter().chain(new).cloned().collect(), self.limits.clone())
    }

    /// Returns the targets of this group whose names are also in `other`.
    #[must_use]
    pub fn intersection(&self, other: impl Into<Self>) -> Self {
        let names: HashSet<_> = other.into().names().collect();
        self.retain(|target| names.contains(&target.name()))
    }

    /// Returns the targets of this group whose names are not in `other`.
    #[must_use]
    pub fn difference(&self, other: impl Into<Self>) -> Self {
        let names: HashSet<_> = other.into().names().collect();
        self.retain(|target| !names.contains(&target.name()))
    }

    /// Returns the targets whose names are in only one of the two groups, those of this group first.
    #[must_use]
    pub fn symmetric_difference(&self, other: impl Into<Self>) -> Self {
        let other = other.into();
        self.difference(&other).union(other.difference(self))
    }

    /// Returns whether a target has this name.
    pub fn contains(&self, name: &T::Name) -> bool {
        self.targets.iter().any(|target| target.name() == *name)
    }
}

/// Implements an operator for groups and references to them, by the method of the same meaning.
macro_rules! operator {
    ($($operator:ident, $function:ident, $method:ident, $text:literal;)*) => {$(
        #[doc = $text]
        impl<T: Member, O: Into<Group<T>>> $operator<O> for Group<T> {
            type Output = Group<T>;

            fn $function(self, other: O) -> Group<T> {
                self.$method(other)
            }
        }

        #[doc = $text]
        impl<T: Member, O: Into<Group<T>>> $operator<O> for &Group<T> {
            type Output = Group<T>;

            fn $function(self, other: O) -> Group<T> {
                self.$method(other)
            }
        }
    )*};
}

operator! {
    BitOr, bitor, union, "[`Group::union`].";
    Add, add, union, "[`Group::union`].";
    BitAnd, bitand, intersection, "[`Group::intersection`].";
    Sub, sub, difference, "[`Group::difference`].";
    BitXor, bitxor, symmetric_difference, "[`Group::symmetric_difference`].";
}
