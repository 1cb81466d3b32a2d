//! What keeps an instance from starting, and how it says so.

use crate::probe::{Probe, command};

fn refused(change: impl FnOnce(&std::path::Path, &mut std::process::Command)) -> (Option<i32>, String) {
    let folder = tempfile::tempdir().unwrap();
    let mut command = command(folder.path());
    change(folder.path(), &mut command);
    let output = command.output().unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn every_wrong_setting_is_reported_and_the_exit_code_is_64() {
    let (code, text) = refused(|_, command| {
        command.env("DROVER_SLOTS", "none").env("DROVER_DEADLINE", "10").env("DROVER_SLOT", "1");
    });
    assert_eq!(code, Some(64));
    for line in [
        "DROVER_SLOTS: `none` is not a number from 1 to 1000000",
        "DROVER_DEADLINE: `10` has no unit: write 10ms or 10s",
        "DROVER_SLOT: no such setting",
    ] {
        assert!(text.contains(line), "{text}");
    }
}

#[test]
fn a_model_with_another_checksum_is_refused() {
    let (code, text) = refused(|folder, _| std::fs::write(folder.join("model.bin"), "changed").unwrap());
    assert_eq!(code, Some(1));
    assert!(text.contains("sha256") || text.contains("checksum"), "{text}");
}

#[test]
fn the_model_of_another_function_is_refused() {
    let (code, text) = refused(|folder, _| {
        let card = folder.join("model.toml");
        let text = std::fs::read_to_string(&card).unwrap().replace("name = 'probe'", "name = 'other'");
        std::fs::write(card, text).unwrap();
    });
    assert_eq!(code, Some(1));
    assert!(text.contains("is the model of `other`, this function is `probe`"), "{text}");
}

#[tokio::test]
async fn an_address_in_use_is_named() {
    let probe = Probe::start().await;
    let (code, text) = refused(|_, command| {
        command.env("DROVER_LISTEN", probe.address());
    });
    assert_eq!(code, Some(1));
    assert!(text.contains(&format!("cannot listen on {}", probe.address())), "{text}");
}

#[test]
fn an_unknown_option_is_refused_and_help_is_not_an_error() {
    let (code, text) = refused(|_, command| {
        command.arg("--serve");
    });
    assert_eq!(code, Some(64));
    assert!(text.contains("no option `--serve`, see probe --help"), "{text}");
    let (code, _) = refused(|_, command| {
        command.arg("--help");
    });
    assert_eq!(code, Some(0));
}
