//! Another chain comes into force at once and whole, and a transaction sees one of them.

use super::*;
use crate::policy::OnFailure;

fn answering(behaviour: &str) -> ComponentSettings {
    misbehaving(&[("behaviour", behaviour)])
}

#[tokio::test]
async fn a_transaction_sees_one_version_from_mail_to_the_end() {
    let plugins = load(vec![answering("permit")]).await;
    let mail = at_mail("shop", "x@a.example");
    let header = with_header(&mail, "x@a.example", None);
    let (mut before, mut unasked) = (plugins.begin(), plugins.begin());
    assert_eq!(code(&before.authorize(&mail).await), 250);
    plugins.replace(&[answering("refuse")]).await.unwrap();
    assert_eq!(code(&before.authorize(&header).await), 250);
    assert_eq!(code(&unasked.authorize(&mail).await), 250);
    assert_eq!(code(&plugins.begin().authorize(&mail).await), 550);
}

#[tokio::test]
async fn a_chain_that_does_not_load_changes_nothing() {
    let plugins = load(vec![answering("permit")]).await;
    let broken = named("foreign", "components/tests/foreign-import", &[]);
    assert!(
        plugins
            .replace(&[answering("refuse"), broken])
            .await
            .is_err()
    );
    let mail = at_mail("shop", "x@a.example");
    assert_eq!(code(&plugins.begin().authorize(&mail).await), 250);
    assert_eq!(plugins.status().len(), 1);
}

#[tokio::test]
async fn a_component_that_stays_keeps_its_breaker_and_one_that_goes_takes_its_numbers_along() {
    let mut registry = Registry::default();
    let faulty = || answering("panic");
    let other = named(
        "other",
        "components/tests/misbehaving",
        &[("behaviour", "metrics-flood"), ("calls", "3")],
    );
    let settings = settings(vec![other, faulty()]);
    let plugins = Plugins::load(settings, clock(), &mut registry)
        .await
        .unwrap();
    let mail = at_mail("shop", "x@a.example");
    for _ in 0..5 {
        plugins.begin().authorize(&mail).await;
    }
    let page = crate::telemetry::exposition(&registry);
    assert!(page.contains("outpost_component_counts_total{component=\"other\""));
    plugins.replace(&[faulty()]).await.unwrap();
    assert_eq!(breaker(&plugins, Question::Sender).users, 1);
    let page = crate::telemetry::exposition(&registry);
    assert!(page.contains("component=\"misbehaving\""));
    assert!(!page.contains("component=\"other\""));
}

#[tokio::test]
async fn a_chain_that_was_loaded_and_is_not_wanted_leaves_no_trace() {
    let mut registry = Registry::default();
    let plugins = Plugins::load(settings(vec![answering("permit")]), clock(), &mut registry)
        .await
        .unwrap();
    let page = || {
        let page = crate::telemetry::exposition(&registry);
        let series = page.lines().filter(|line| line.contains("component=\""));
        series.map(str::to_owned).collect::<Vec<_>>().join("\n")
    };
    assert!(page().contains("component=\"misbehaving\""));
    let other = named("other", "components/tests/misbehaving", &[]);
    let prepared = plugins.prepare(&[answering("refuse"), other]).await;
    let prepared = prepared.map_err(drop).unwrap();
    assert_eq!(prepared.status().len(), 2);
    assert!(prepared.is_another());
    assert!(page().contains("component=\"other\""), "it could count");
    drop(prepared);
    assert!(!page().contains("component=\"other\""));
    let same = plugins.prepare(&[answering("permit")]).await;
    assert!(!same.map_err(drop).unwrap().is_another());
    assert!(page().contains("component=\"misbehaving\""));
    let mail = at_mail("shop", "x@a.example");
    assert_eq!(code(&plugins.begin().authorize(&mail).await), 250);
}

/// What of the examples is deployed at run time, in the place of a component of the configuration.
fn deployed(data_dir: &Path) -> (deployed::Deployments, Vec<ComponentSettings>) {
    let deployments = deployed::Deployments::open(data_dir).unwrap();
    let configured = vec![ComponentSettings::shipped("authorized-senders")];
    let Source::File(path) = file("components/examples/own-domain") else {
        panic!("a file");
    };
    let component = std::fs::read(path).unwrap();
    let digest = deployments.keep(&component).unwrap();
    let install = deployed::Install {
        name: "authorized-senders".to_owned(),
        octets: component.len() as u64,
        component: Vec::new(),
        settings: deployed::Overrides::default(),
        position: None,
        note: String::new(),
    };
    let author = deployed::Author {
        by: "boss",
        at: Timestamp::from_unix_milliseconds(1_700_000_000_000),
    };
    let change = deployed::Change::Install(install);
    let plan = deployments.plan(&configured, &change, &digest, author);
    deployments.commit(&plan.unwrap()).unwrap();
    (deployments, configured)
}

#[tokio::test]
async fn what_was_deployed_is_loaded_and_what_became_of_its_file_is_told_by_name() {
    let data_dir = tempfile::tempdir().unwrap();
    let (deployments, configured) = deployed(data_dir.path());
    let chain = deployments.chain(&configured);
    let plugins = load(chain.clone()).await;
    let status = plugins.status().remove(0);
    let Source::Deployed { path, digest } = status.source else {
        panic!("{:?}", status.source);
    };
    assert_eq!(status.digest, digest);
    let foreign = at_mail("shop", "x@a.example");
    assert_eq!(code(&plugins.begin().authorize(&foreign).await), 550);

    for damage in [Some("other"), None] {
        match damage {
            Some(text) => std::fs::write(&path, text).unwrap(),
            None => std::fs::remove_file(&path).unwrap(),
        }
        let told = problems(chain.clone()).await.join("\n");
        assert!(told.contains(&path.display().to_string()), "{told}");
        assert!(told.contains("Restore it from a backup"), "{told}");
        // In a relay that runs nothing changes by that.
        assert!(plugins.prepare(&chain).await.is_err());
        assert_eq!(code(&plugins.begin().authorize(&foreign).await), 550);
    }
}

#[tokio::test]
async fn what_is_disabled_is_known_and_not_asked() {
    let data_dir = tempfile::tempdir().unwrap();
    let (deployments, configured) = deployed(data_dir.path());
    let disable = deployed::Change::Disable("authorized-senders".to_owned());
    let author = deployed::Author {
        by: "boss",
        at: Timestamp::from_unix_milliseconds(1_700_000_000_001),
    };
    let plan = deployments.plan(&configured, &disable, "", author).unwrap();
    assert!(plan.chain().is_empty());
    deployments.commit(&plan).unwrap();
    deployments.follow(&configured, &[]);
    let standing = deployments.standing();
    let known = standing.members[0].unasked.as_deref().unwrap();
    assert_eq!(known.questions, [(Question::Sender, OnFailure::Defer)]);
    assert_eq!(known.contract, CONTRACT_VERSION);
    assert!(load(standing.chain()).await.status().is_empty());
}
