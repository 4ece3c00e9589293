//! Limits for reading and writing, each with a name, a default and a setter.

/// Limits on what is read.
///
/// ```
/// use chopsticks_pencode::DecodeConfig;
///
/// let config = DecodeConfig::default().max_len(1 << 20).max_depth(32);
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct DecodeConfig {
    expansion_budget: usize,
    max_depth: usize,
    max_graph_depth: usize,
    max_len: usize,
}

impl DecodeConfig {
    /// Default of [`expansion_budget`](Self::expansion_budget): 64 MiB, the most that a buffer of
    /// a few hundred bytes can make of itself.
    pub const DEFAULT_EXPANSION_BUDGET: usize = 64 << 20;

    /// Default of [`max_depth`](Self::max_depth): 256. The most wasteful types that we know of
    /// need less than half of a 2 MiB stack for it in unoptimised builds (`tests/depth.rs`).
    pub const DEFAULT_MAX_DEPTH: usize = 256;

    /// Sets how much memory references may add when a tree is made of a buffer.
    ///
    /// Typed data has no shared objects, so that every reference is read anew, and a few hundred
    /// bytes can describe 2^40 values. Each value that is read again counts as 16 bytes and the
    /// length of its text, digits or bytes; only a reference straight to a scalar of at most 64
    /// bytes, such as a field name, is free. The graph form keeps references as they are and needs
    /// no budget.
    ///
    /// Unit: bytes. Default: [64 MiB](Self::DEFAULT_EXPANSION_BUDGET).
    #[must_use]
    pub fn expansion_budget(mut self, expansion_budget: usize) -> Self {
        self.expansion_budget = expansion_budget;
        self
    }

    /// Sets how deep containers may be nested in typed data.
    ///
    /// Typed reading recurses once per level, so a larger value needs a larger stack.
    ///
    /// Unit: levels. Default: [256](Self::DEFAULT_MAX_DEPTH).
    #[must_use]
    pub fn max_depth(mut self, max_depth: usize) -> Self {
        self.max_depth = max_depth;
        self
    }

    /// Sets how deep containers may be nested in a [`Graph`](crate::Graph).
    ///
    /// Reading, walking, writing and dropping a graph does not recurse, so this costs eight bytes
    /// of memory per level and nothing else.
    ///
    /// Unit: levels. Default: unlimited.
    #[must_use]
    pub fn max_graph_depth(mut self, max_graph_depth: usize) -> Self {
        self.max_graph_depth = max_graph_depth;
        self
    }

    /// Sets the length of the longest buffer that is looked at.
    ///
    /// Unit: bytes. Default: `u32::MAX`, which is also the most that can be set, since lengths
    /// are 32 bits wide.
    #[must_use]
    pub fn max_len(mut self, max_len: usize) -> Self {
        self.max_len = max_len.min(u32::MAX as usize);
        self
    }

    #[cfg(feature = "serde")]
    pub(crate) fn depth_limit(&self) -> usize {
        self.max_depth
    }

    #[cfg(feature = "serde")]
    pub(crate) fn expansion_limit(&self) -> usize {
        self.expansion_budget
    }

    pub(crate) fn graph_depth_limit(&self) -> usize {
        self.max_graph_depth
    }

    pub(crate) fn len_limit(&self) -> usize {
        self.max_len
    }
}

impl Default for DecodeConfig {
    fn default() -> Self {
        Self {
            expansion_budget: Self::DEFAULT_EXPANSION_BUDGET,
            max_depth: Self::DEFAULT_MAX_DEPTH,
            max_graph_depth: usize::MAX,
            max_len: u32::MAX as usize,
        }
    }
}

/// Limits on what is written from typed data.
///
/// ```
/// use chopsticks_pencode::EncodeConfig;
///
/// let config = EncodeConfig::default().max_len(1 << 20);
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct EncodeConfig {
    max_depth: usize,
    max_len: usize,
}

impl EncodeConfig {
    /// Default of [`max_depth`](Self::max_depth), the same as for reading.
    pub const DEFAULT_MAX_DEPTH: usize = DecodeConfig::DEFAULT_MAX_DEPTH;

    /// Sets how deep containers may be nested.
    ///
    /// Unit: levels. Default: [256](Self::DEFAULT_MAX_DEPTH).
    #[must_use]
    pub fn max_depth(mut self, max_depth: usize) -> Self {
        self.max_depth = max_depth;
        self
    }

    /// Sets the length of the longest buffer that is written for one value.
    ///
    /// Unit: bytes. Default: `u32::MAX`, which is also the most that can be set.
    #[must_use]
    pub fn max_len(mut self, max_len: usize) -> Self {
        self.max_len = max_len.min(u32::MAX as usize);
        self
    }

    #[cfg(feature = "serde")]
    pub(crate) fn depth_limit(&self) -> usize {
        self.max_depth
    }

    #[cfg(feature = "serde")]
    pub(crate) fn len_limit(&self) -> usize {
        self.max_len
    }
}

impl Default for EncodeConfig {
    fn default() -> Self {
        Self { max_depth: Self::DEFAULT_MAX_DEPTH, max_len: u32::MAX as usize }
    }
}
