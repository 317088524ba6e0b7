//! From the configuration to a chain that runs: read, digest, compare with the contract, compile or
//! find compiled, start once, and ask it what it thinks of its settings.
//!
//! Everything that can go wrong with a component goes wrong here and not at a message. All problems
//! of all components come back together. The slow parts run on blocking threads; what compiles is
//! one function of octets, so that a child process can do it instead.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use super::Workshop;
use super::breaker::Breaker;
use super::cache::CacheError;
use super::component::{Component, Exports, StartError};
use super::context::Shared;
use super::contract::{self, Fit};
use super::digest;
use super::mismatch;
use super::problem::{LoadProblem, LoadProblemKind};
use super::section::Outline;
use super::settings::{ComponentSettings, MEMORY_OCTETS_MAX, Source, Wasi};
use super::shelf::Shelf;
use super::shipped::{self, SHIPPED};
use super::status::ComponentStatus;
use super::stock::Stock;
use super::ticker::TICK;
use crate::policy::clean_text;
use crate::regular;

/// Components in a chain: each is asked at every message.
const CHAIN_MAX: usize = 32;
/// Octets of a component: the largest language runtimes have a third of it.
const COMPONENT_OCTETS_MAX: u64 = 64 << 20;
/// Octets of a component's name: it is a label of metrics and a word in every line of the log.
pub const NAME_OCTETS_MAX: usize = 64;
/// Problems of its settings that a component may report, as the contract says.
const SETTING_PROBLEMS_MAX: usize = 32;
/// Octets of one such problem, as the contract says.
const SETTING_OCTETS_MAX: usize = 512;
/// Octets of what the compiler says about a component.
const COMPILER_OCTETS_MAX: usize = 1024;
/// Below ten ticks a deadline strikes because of the machine, not because of the component.
const CPU_TIME_MIN: Duration = TICK.saturating_mul(10);

/// What is known about a component before it runs.
pub(super) struct Draft {
    pub octets: Vec<u8>,
    pub digest: String,
    pub outline: Outline,
    pub fit: Fit,
}

/// Loads a whole chain. Components that are in `known` with the same settings and the same octets
/// are taken over as they are, counters and breaker included.
///
/// # Errors
/// Everything that is wrong with any of them.
pub(super) async fn chain(
    workshop: &Arc<Workshop>,
    settings: &[ComponentSettings],
    known: &[Arc<Component>],
) -> Result<Vec<Arc<Component>>, Vec<LoadProblem>> {
    let mut problems = names(settings);
    let mut chain = Vec::with_capacity(settings.len());
    for settings in settings.iter().take(CHAIN_MAX) {
        match component(workshop, settings, known).await {
            Ok(component) => chain.push(component),
            Err(kinds) => problems.extend(kinds.into_iter().map(|kind| LoadProblem {
                component: Some(settings.name.clone()),
                kind,
            })),
        }
    }
    workshop.cache.prune();
    if problems.is_empty() {
        Ok(chain)
    } else {
        Err(problems)
    }
}

/// What is wrong with the names, which must be fit for labels and tell components apart.
fn names(settings: &[ComponentSettings]) -> Vec<LoadProblem> {
    let mut problems = Vec::new();
    let mut push = |name: &str, text: String| {
        problems.push(LoadProblem {
            component: Some(clean_text(name, NAME_OCTETS_MAX)),
            kind: LoadProblemKind::Name(text),
        });
    };
    let fits = |octet: u8| matches!(octet, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_');
    let mut seen = HashSet::new();
    for ComponentSettings { name, .. } in settings {
        if name.is_empty() || name.len() > NAME_OCTETS_MAX || !name.bytes().all(fits) {
            push(
                name,
                "a name has 1 to 64 of a-z, 0-9, \"-\" and \"_\"".to_owned(),
            );
        } else if !seen.insert(name) {
            push(name, "another plugin has this name".to_owned());
        }
    }
    if let Some(first) = settings.get(CHAIN_MAX) {
        push(
            &first.name,
            format!("a chain has {CHAIN_MAX} plugins at most"),
        );
    }
    problems
}

async fn component(
    workshop: &Arc<Workshop>,
    settings: &ComponentSettings,
    known: &[Arc<Component>],
) -> Result<Arc<Component>, Vec<LoadProblemKind>> {
    let mut problems = limits(settings);
    let draft = blocking({
        let settings = settings.clone();
        move || draft(&settings)
    });
    let draft = match draft.await {
        Ok(draft) => draft,
        Err(more) => {
            problems.extend(more);
            return Err(problems);
        }
    };
    if !problems.is_empty() {
        return Err(problems);
    }
    let same =
        |other: &&Arc<Component>| *other.digest == *draft.digest && other.settings == *settings;
    if let Some(same) = known.iter().find(same) {
        return Ok(Arc::clone(same));
    }
    let component = Arc::new(prepare(workshop, settings, draft).await?);
    start(workshop, &component).await?;
    Ok(component)
}

fn limits(settings: &ComponentSettings) -> Vec<LoadProblemKind> {
    let mut problems = Vec::new();
    let mut push = |key, text| problems.push(LoadProblemKind::Limit { key, text });
    if settings.limits.memory_octets > MEMORY_OCTETS_MAX {
        push("memory", format!("{MEMORY_OCTETS_MAX} octets at most"));
    }
    if settings.limits.cpu_time < CPU_TIME_MIN {
        push("CPU time", format!("{CPU_TIME_MIN:?} at least"));
    }
    if settings.limits.wall_time < settings.limits.cpu_time {
        push(
            "time on the wall",
            "at least as much as its CPU time".to_owned(),
        );
    }
    problems
}

/// What can be said about a component that is not loaded; none when it cannot be. Blocks.
pub(super) fn examine(settings: &ComponentSettings) -> Option<ComponentStatus> {
    let draft = draft(settings).ok()?;
    Some(ComponentStatus::unasked(settings, &draft))
}

/// Whether a component can be read, and is the one that it is to be. Blocks.
pub(super) fn verify(source: &Source) -> Result<(), LoadProblemKind> {
    whole(source).map(drop)
}

/// Reads a component and compares it with the contract. Blocks.
fn draft(settings: &ComponentSettings) -> Result<Draft, Vec<LoadProblemKind>> {
    let (octets, digest) = whole(&settings.source).map_err(|problem| vec![problem])?;
    let outline = Outline::read(&octets).map_err(|error| vec![LoadProblemKind::Invalid(error)])?;
    let fit = contract::compare(&outline, settings.wasi)?;
    Ok(Draft {
        digest,
        octets,
        outline,
        fit,
    })
}

/// The octets of a component, and their digest, which is the one that it was deployed with.
fn whole(source: &Source) -> Result<(Vec<u8>, String), LoadProblemKind> {
    let octets = read(source)?;
    let found = digest::of_octets(&octets);
    match source {
        Source::Deployed { path, digest } if *digest != found => {
            let path = path.display().to_string();
            Err(LoadProblemKind::Damaged { path, found })
        }
        _ => Ok((octets, found)),
    }
}

fn read(source: &Source) -> Result<Vec<u8>, LoadProblemKind> {
    match source {
        Source::Shipped(name) => match shipped::find(name) {
            Some(shipped) => Ok(shipped.octets.to_vec()),
            None => Err(LoadProblemKind::NotShipped {
                name: name.clone(),
                shipped: SHIPPED.map(|shipped| shipped.name).join(", "),
            }),
        },
        Source::File(path) => {
            regular::read(path, COMPONENT_OCTETS_MAX).map_err(|error| LoadProblemKind::Unreadable {
                path: path.display().to_string(),
                error: error.into(),
            })
        }
        Source::Deployed { path, .. } => {
            regular::read(path, COMPONENT_OCTETS_MAX).map_err(|error| LoadProblemKind::Lost {
                path: path.display().to_string(),
                error: error.into(),
            })
        }
    }
}

/// Compiles it, or finds it compiled, and links it.
async fn prepare(
    workshop: &Arc<Workshop>,
    settings: &ComponentSettings,
    draft: Draft,
) -> Result<Component, Vec<LoadProblemKind>> {
    let compiled = blocking({
        let (workshop, digest) = (Arc::clone(workshop), draft.digest.clone());
        let octets = draft.octets;
        move || {
            let compiled = workshop.cache.component(&workshop.engine, &octets, &digest);
            (compiled, octets.len())
        }
    });
    let (compiled, octets) = compiled.await;
    let compiled = compiled.map_err(|error| match error {
        // The engine may name what it found in the file.
        CacheError::Compile(error) => vec![LoadProblemKind::Invalid(clean_text(
            &error,
            COMPILER_OCTETS_MAX,
        ))],
        CacheError::Folder(_) => vec![LoadProblemKind::Engine(error.to_string())],
    })?;
    let mismatch = |error: wasmtime::Error| vec![mismatch::of_error(&draft.fit, &error)];
    let linker = match settings.wasi {
        Wasi::Refused => &workshop.linker,
        Wasi::Empty => &workshop.linker_with_wasi,
    };
    let pre = linker.instantiate_pre(&compiled).map_err(mismatch)?;
    let exports = Exports::find(&pre, &draft.fit).map_err(mismatch)?;
    Ok(Component {
        digest: draft.digest.into(),
        octets,
        outline: draft.outline,
        fit: draft.fit,
        shelf: Shelf::default(),
        stock: Stock::default(),
        shared: Arc::new(Shared {
            name: settings.name.as_str().into(),
            config: settings.config.clone(),
            limits: settings.limits,
            wasi: settings.wasi,
            // A new version of a component goes on counting where the one before it was.
            metrics: workshop.metrics.component(&settings.name),
            clock: workshop.clock.clone(),
            turns: Arc::clone(&workshop.turns),
            breaker: Breaker::default(),
        }),
        settings: settings.clone(),
        pre,
        exports,
    })
}

/// Starts it once and lets it check its settings: some mismatches show only now.
async fn start(workshop: &Workshop, component: &Component) -> Result<(), Vec<LoadProblemKind>> {
    let slot = workshop.slots.take().await;
    let slot = slot.ok_or_else(|| vec![LoadProblemKind::Start("no free instance".to_owned())])?;
    let start_problem = |error: StartError| match error {
        StartError::Mismatch(error) => vec![mismatch::of_text(&component.fit, &error)],
        StartError::Failure(failure) => vec![LoadProblemKind::Start(failure.to_string())],
    };
    let instance = component
        .start(&workshop.ticker, slot)
        .await
        .map_err(start_problem)?;
    let problems = component.check_config(&workshop.ticker, instance).await;
    let problems: Vec<_> = problems
        .map_err(start_problem)?
        .into_iter()
        .take(SETTING_PROBLEMS_MAX)
        .map(|(key, text)| LoadProblemKind::Setting {
            key: clean_text(&key, NAME_OCTETS_MAX),
            text: clean_text(&text, SETTING_OCTETS_MAX),
        })
        .collect();
    if problems.is_empty() {
        Ok(())
    } else {
        Err(problems)
    }
}

/// Runs what blocks where it may.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        // It was not cancelled: the only task that could do so is this one.
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}
