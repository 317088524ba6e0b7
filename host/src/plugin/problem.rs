//! Why a chain of components could not be loaded: every reason at once, each with its component.

use std::fmt;
use std::io;

/// One thing that is wrong with one component, in words that the operator can act on.
#[derive(Debug)]
pub struct LoadProblem {
    /// The component's name in the configuration; none when it concerns them all.
    pub component: Option<String>,
    /// What is wrong.
    pub kind: LoadProblemKind,
}

/// What can be wrong with a component.
#[derive(Debug, thiserror::Error)]
pub enum LoadProblemKind {
    /// No component engine can be had on this machine, or its folder cannot be used.
    #[error("components cannot run: {0}")]
    Engine(String),
    /// The name is not one, or is taken.
    #[error("{0}")]
    Name(String),
    /// No component of that name ships with the relay.
    #[error("no component \"{name}\" ships with this relay; there are: {shipped}")]
    NotShipped {
        /// What was asked for.
        name: String,
        /// What there is.
        shipped: String,
    },
    /// The file cannot be read.
    #[error("{path} cannot be read: {error}")]
    Unreadable {
        /// The file.
        path: String,
        /// Why.
        error: io::Error,
    },
    /// The file of one that was deployed is not what was deployed.
    #[error(
        "{path} is damaged: its SHA-256 is {found}. Restore it from a backup, or move the folder that it is in aside to \
         start with the components of the configuration"
    )]
    Damaged {
        /// The file.
        path: String,
        /// Its SHA-256.
        found: String,
    },
    /// The file of one that was deployed cannot be read.
    #[error(
        "{path} cannot be read: {error}. Restore it from a backup, or move the folder that it is in aside to start \
         with the components of the configuration"
    )]
    Lost {
        /// The file.
        path: String,
        /// Why.
        error: io::Error,
    },
    /// The octets are not a component that the engine can run.
    #[error("{0}")]
    Invalid(String),
    /// It wants something from outside the contract.
    #[error("it imports {import}, which no component is given")]
    ForeignImport {
        /// The import as the component names it.
        import: String,
    },
    /// It wants WASI, and nobody asked for that.
    #[error(
        "it imports {0}, which no component is given unasked; if its language's runtime cannot do \
         without, `wasi = \"empty\"` gives it a WASI without files, network and environment"
    )]
    WasiImports(String),
    /// It wants something of the contract that this relay does not have yet.
    #[error(
        "it imports {import}, which is newer than this relay's outpost:policy@{relay}; \
         a newer relay has it"
    )]
    NewerImport {
        /// The import as the component names it.
        import: String,
        /// The version of the contract that this relay speaks.
        relay: &'static str,
    },
    /// It was built for an incompatible version of the contract.
    #[error(
        "it was built for outpost:policy@{component} ({direction} {interface}), and this relay \
         speaks outpost:policy@{relay}; build it with an SDK for {relay}"
    )]
    Version {
        /// The version of the contract that the component was built for.
        component: String,
        /// The version that this relay speaks.
        relay: &'static str,
        /// `import` or `export`.
        direction: &'static str,
        /// The first interface that does not fit.
        interface: String,
    },
    /// It answers none of the questions, or lacks what every component has.
    #[error(
        "it does not export {export}, which this relay asks for (it was built for {})",
        of_version(.component.as_deref())
    )]
    MissingExport {
        /// The export as this relay names it.
        export: String,
        /// The version of the contract that the component was built for, when it names one.
        component: Option<String>,
    },
    /// An interface that it exports lacks a function.
    #[error(
        "its {interface} lacks the function {function}, which this relay's outpost:policy@{relay} asks for \
         (it was built for outpost:policy@{component})"
    )]
    MissingFunction {
        /// The function.
        function: String,
        /// The interface.
        interface: String,
        /// The version of the contract that the component was built for.
        component: String,
        /// The version that this relay speaks.
        relay: &'static str,
    },
    /// It uses a function that this relay does not have.
    #[error(
        "it imports the function {function} of {interface}, which this relay's outpost:policy@{relay} does \
         not have (it was built for outpost:policy@{component}); a newer relay may have it"
    )]
    MissingImport {
        /// The function.
        function: String,
        /// The interface.
        interface: String,
        /// The version of the contract that the component was built for.
        component: String,
        /// The version that this relay speaks.
        relay: &'static str,
    },
    /// Names and versions fit, the types behind them do not.
    #[error(
        "its imports or exports differ from outpost:policy@{relay} (it was built for {component}): \
         {error}"
    )]
    Mismatch {
        /// The version of the contract that the component was built for.
        component: String,
        /// The version that this relay speaks.
        relay: &'static str,
        /// The import or export that is wrong, in the engine's words.
        error: String,
    },
    /// One of its own settings is wrong, says the component.
    #[error("its setting \"{key}\": {text}")]
    Setting {
        /// The setting.
        key: String,
        /// What is wrong with it.
        text: String,
    },
    /// One of the relay's settings for it is wrong.
    #[error("its {key}: {text}")]
    Limit {
        /// The setting.
        key: &'static str,
        /// What is wrong with it.
        text: String,
    },
    /// It failed before it was asked anything.
    #[error("it fails at start: {0}")]
    Start(String),
}

fn of_version(version: Option<&str>) -> String {
    version.map_or_else(
        || "something else than outpost:policy".to_owned(),
        |version| format!("outpost:policy@{version}"),
    )
}

impl fmt::Display for LoadProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.component {
            Some(component) => write!(f, "plugin \"{component}\": {}", self.kind),
            None => self.kind.fmt(f),
        }
    }
}

impl std::error::Error for LoadProblem {}
