//! The parts of the agent: its files, and which of them need which others.
//!
//! The build script reads this file as well.

/// A part of the agent: one Python file, compiled into the one namespace that all parts share.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum Part {
    /// Frames, calls and their results, and the tables that other parts fill.
    Core,
    /// Calls that overlap.
    Overlap,
    /// What few connections need, and cannot ask for.
    Rare,
    /// Modules that the codebase has.
    Importer,
    /// The end of the agent.
    Leaving,
    /// The process that ends what an agent has started.
    Guard,
    /// The end of processes.
    Ending,
    /// The guard of an agent of much memory.
    Apart,
    /// Calls of coroutine functions.
    Awaiting,
    /// Functions in forms other than `module:name`.
    Callables,
    /// The end of cancelled calls.
    Cancelling,
    /// Modules for processes that user code starts.
    Children,
    /// What loaders provide besides modules.
    Data,
    /// Modules on the disk of the host.
    Disk,
    /// The metadata of distributions.
    Distributions,
    /// Failures as data.
    Failure,
    /// Transfers of files.
    Files,
    /// Transfers of folders.
    Folders,
    /// Calls with streams of items.
    Items,
    /// Waiting for `logging` to be imported.
    Logs,
    /// Calls for many items.
    Mapping,
    /// Pickled calls.
    Pickled,
    /// The option `encode`.
    Plain,
    /// What is written to `sys.stdout`.
    Printing,
    /// The records of `logging`.
    Records,
    /// Programs with their pipes as streams.
    Relay,
    /// The file in the place of `sys.stdout`, until it is used.
    Stdout,
    /// Byte streams.
    Stream,
    /// The places where received files are written.
    Targets,
    /// Messages with output.
    Telling,
    /// pencode.
    Values,
}

impl Part {
    /// Every part. Those that every connection sends come first, and the core before all others.
    pub const ALL: [Self; 31] = [
        Self::Core,
        Self::Overlap,
        Self::Rare,
        Self::Importer,
        Self::Leaving,
        Self::Guard,
        Self::Ending,
        Self::Apart,
        Self::Awaiting,
        Self::Callables,
        Self::Cancelling,
        Self::Children,
        Self::Data,
        Self::Disk,
        Self::Distributions,
        Self::Failure,
        Self::Files,
        Self::Folders,
        Self::Items,
        Self::Logs,
        Self::Mapping,
        Self::Pickled,
        Self::Plain,
        Self::Printing,
        Self::Records,
        Self::Relay,
        Self::Stdout,
        Self::Stream,
        Self::Targets,
        Self::Telling,
        Self::Values,
    ];

    /// Returns the name by which the agent asks for the part: that of its file without `.py`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Core => "agent",
            Self::Overlap => "overlap",
            Self::Rare => "rare",
            Self::Importer => "importer",
            Self::Leaving => "leaving",
            Self::Guard => "guard",
            Self::Ending => "ending",
            Self::Apart => "apart",
            Self::Awaiting => "awaiting",
            Self::Callables => "callables",
            Self::Cancelling => "cancelling",
            Self::Children => "children",
            Self::Data => "data",
            Self::Disk => "disk",
            Self::Distributions => "distributions",
            Self::Failure => "failure",
            Self::Files => "files",
            Self::Folders => "folders",
            Self::Items => "items",
            Self::Logs => "logs",
            Self::Mapping => "mapping",
            Self::Pickled => "pickled",
            Self::Plain => "plain",
            Self::Printing => "printing",
            Self::Records => "records",
            Self::Relay => "relay",
            Self::Stdout => "stdout",
            Self::Stream => "stream",
            Self::Targets => "targets",
            Self::Telling => "telling",
            Self::Values => "values",
        }
    }

    /// Returns the part of this name, or `None` if there is none.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|part| part.name() == name)
    }

    /// Returns whether every connection sends the part, packed, before anything else.
    pub const fn is_packed(self) -> bool {
        matches!(
            self,
            Self::Core
                | Self::Overlap
                | Self::Rare
                | Self::Importer
                | Self::Leaving
                | Self::Guard
                | Self::Ending
        )
    }

    /// Returns the parts that must be in the agent before this one is compiled, the first one
    /// first. Parts that are packed are always there.
    ///
    /// An agent that asks for a part takes care of what this needs. So these are for a controller
    /// that sends a part unasked.
    pub const fn requires(self) -> &'static [Self] {
        match self {
            Self::Files => &[Self::Stream, Self::Targets],
            Self::Folders => &[Self::Files],
            Self::Items | Self::Relay => &[Self::Stream],
            Self::Printing | Self::Records => &[Self::Telling],
            Self::Mapping => &[Self::Items],
            _ => &[],
        }
    }

    /// Returns the part behind everything that it requires, each of them once and in an order in
    /// which they can be compiled.
    pub fn with_requirements(self) -> Vec<Self> {
        let mut found = Vec::new();
        for part in self.requires().iter().flat_map(|part| part.with_requirements()).chain([self]) {
            if !found.contains(&part) {
                found.push(part);
            }
        }
        found
    }
}
