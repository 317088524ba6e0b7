//! What `outpost check` looks at beyond the file itself: certificate, components, routes.
//!
//! The same things keep a relay from starting; here they are found all at once, beside the mistakes
//! in the file, and each is told at its key. Nothing is bound and the data folder is not touched.

use super::loops::{self, Loop};
use crate::clock::Clock;
use crate::config::{Config, Mistake, Reading};
use crate::plugin::deployed::Deployments;
use crate::plugin::{self, ComponentStatus, LoadProblem, LoadProblemKind, Plugins};
use crate::policy::Question;
use crate::telemetry::Registry;
use crate::tls::{self, CertificateError, Examined, Part};

/// Adds to what was read from the file everything else that would keep the relay from starting, and
/// what its operator should know.
pub async fn check(reading: Reading) -> Reading {
    let loaded = load(&reading.config).await;
    let certificate = tls::examine(&reading.config.tls, &reading.config.hostname);
    examine(reading, loops::planned, loaded, &certificate)
}

/// The same, where it is known what becomes of the components and of the certificate, and how routes are found that
/// lead back.
pub(super) fn examine(
    mut reading: Reading,
    loops: impl FnOnce(&Config) -> Vec<Loop>,
    loaded: Result<Vec<ComponentStatus>, Vec<LoadProblem>>,
    certificate: &Examined,
) -> Reading {
    let config = &reading.config;
    reading.notes.extend(about_certificate(config, certificate));
    let mut found: Vec<Mistake> = certificate
        .problems
        .iter()
        .map(|error| of_certificate(config, error))
        .collect();
    let mut perhaps = Vec::new();
    // Where the relay listens is not known while that is wrong.
    let is_wrong = |mistake: &Mistake| mistake.key.starts_with("submission");
    if !reading.mistakes.iter().any(is_wrong) {
        perhaps = loops(config);
    }
    // What a wrong section was meant to be is not known.
    let is_of_chain = |mistake: &Mistake| mistake.key.starts_with("plugin");
    if let Ok(chain) = &loaded
        && !reading.mistakes.iter().any(is_of_chain)
    {
        reading.notes.extend(of_chain(config, chain));
    }
    for problem in loaded.err().unwrap_or_default() {
        let mistake = of_component(config, &problem);
        // A name that is wrong, or stands twice, is told by the file already.
        let is_of_name = |told: &Mistake| {
            told.key == mistake.key
                || told.key.starts_with("plugin[") && told.key.ends_with("].name")
        };
        let is_name = matches!(
            problem.kind,
            LoadProblemKind::Name(_) | LoadProblemKind::NotShipped { .. }
        );
        if !(is_name && reading.mistakes.iter().any(is_of_name)) {
            found.push(mistake);
        }
    }
    reading
        .notes
        .extend(perhaps.into_iter().map(|found| found.note));
    reading.notes.sort();
    reading.mistakes.extend(found);
    reading.mistakes.sort();
    reading.mistakes.dedup();
    reading
}

async fn load(config: &Config) -> Result<Vec<ComponentStatus>, Vec<LoadProblem>> {
    // A check leaves no trace and needs no folder that it may write to.
    let settings = plugin::Settings {
        cache_dir: None,
        ..config.plugin.clone()
    };
    let plugins = Plugins::load(settings, Clock::system(), &mut Registry::default()).await?;
    Ok(plugins.status())
}

/// What the operator should know about a chain that loads.
pub(super) fn of_chain(config: &Config, chain: &[ComponentStatus]) -> Option<Mistake> {
    let decides_about_senders = |component: &ComponentStatus| {
        let mut questions = component.questions.iter();
        questions.any(|(question, _)| *question == Question::Sender)
    };
    let nobody = !chain.iter().any(decides_about_senders);
    nobody.then(|| {
        config.places.mistake(
            "plugin",
            "no component of the chain decides who may send as whom, so every sender is refused; \
             `authorized-senders` ships",
        )
    })
}

/// What was deployed at run time for components that the configuration does not name any more.
pub(super) fn of_absent(config: &Config, deployments: &Deployments) -> Vec<Mistake> {
    let absent = deployments.absent(&config.plugin.chain).into_iter();
    let notes = absent.map(|name| {
        let text = format!(
            "`{name}` was changed at run time and is not named here any more, so it is not asked; `outpost plugin rm \
             {name}` forgets what was deployed"
        );
        config.places.mistake("plugin", text)
    });
    notes.collect()
}

/// What the operator should know about a certificate that can be served.
pub(super) fn about_certificate(
    config: &Config,
    certificate: &Examined,
) -> impl Iterator<Item = Mistake> {
    let notes = certificate.notes.iter();
    notes.map(|note| config.places.mistake("tls.certificate", note.as_str()))
}

/// What is wrong with a certificate, at its key.
pub(super) fn of_certificate(config: &Config, error: &CertificateError) -> Mistake {
    let key = match error.part() {
        Part::Certificate => "tls.certificate",
        Part::Key => "tls.key",
    };
    config.places.mistake(key, error.to_string())
}

/// What is wrong with a component, at its key.
pub(super) fn of_component(config: &Config, problem: &LoadProblem) -> Mistake {
    let name = problem.component.as_deref().unwrap_or_default();
    if let LoadProblemKind::Damaged { .. } | LoadProblemKind::Lost { .. } = &problem.kind {
        // No line of the file is at fault.
        return Mistake {
            line: None,
            key: "plugin".to_owned(),
            text: problem.to_string(),
        };
    }
    let Some(section) = config.places.component(name) else {
        // One that is asked by default, or none in particular: the file has no place for it.
        return config.places.mistake("plugin", problem.to_string());
    };
    let key = match &problem.kind {
        LoadProblemKind::Setting { key, .. } => format!("{section}.config.{key}"),
        LoadProblemKind::Name(_) | LoadProblemKind::NotShipped { .. } => format!("{section}.name"),
        _ => format!("{section}.component"),
    };
    config.places.mistake(&key, problem.to_string())
}
