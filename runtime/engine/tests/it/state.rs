//! The state directory: one engine at a time, and nothing is left behind.

use drover_engine::local::{LocalEngine, Record, StateError};

use crate::herder::{Herder, Spec, settings};

#[tokio::test(flavor = "multi_thread")]
async fn a_second_engine_is_told_who_has_the_directory() {
    let herder = Herder::start();
    let refused = LocalEngine::start(settings(herder.dir.path().join("state"))).err().unwrap();
    let StateError::InUse { pid, .. } = refused else { panic!("{refused}") };
    assert_eq!(pid, std::process::id());
    herder.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cgroups_are_gone_after_the_end() {
    let herder = Herder::start();
    let function = herder.add("gone", &Spec::default());
    herder.until_ready(&function, 1).await;
    let cgroups = Record::read(&herder.dir.path().join("state")).unwrap().cgroups;
    assert!(cgroups.iter().all(|dir| dir.is_dir()));
    herder.finish().await;
    assert!(!cgroups.iter().any(|dir| dir.exists()), "{cgroups:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_function_twice_is_refused() {
    let herder = Herder::start();
    herder.add("same", &Spec::default());
    let refused = herder.engine.add(Spec::default().job("same"), None).unwrap_err();
    assert_eq!(refused.to_string(), "two jobs give the function `same`");
    herder.finish().await;
}
