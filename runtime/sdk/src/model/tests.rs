use super::*;

const CARD: &str = r#"
name = "tiny"
version = "1.0.0"
description = "nothing much"
file = "model.onnx"
sha256 = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"
labels = ["no", "yes"]
licence = "CC0-1.0"
[[inputs]]
name = "features"
type = "float32"
shape = [-1, 4]
[[outputs]]
name = "probabilities"
type = "float32"
shape = [-1, 2]
[data]
source = "none"
licence = "CC0-1.0"
rows_train = 1
rows_test = 1
[metrics]
accuracy = 0.5
"#;

/// Opens a model whose file holds `hello` and whose card is [`CARD`] with `from` replaced by `to`.
#[track_caller]
fn open(from: &str, to: &str) -> Result<Model, ModelError> {
    assert!(CARD.contains(from));
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("model.onnx"), "hello").unwrap();
    std::fs::write(dir.path().join(CARD_FILE), CARD.replacen(from, to, 1)).unwrap();
    Model::open(dir.path())
}

#[track_caller]
fn refused(from: &str, to: &str, why: &str) {
    let text = open(from, to).unwrap_err().to_string();
    assert!(text.contains(why), "{text}");
}

#[test]
fn a_card_opens_by_its_directory_and_by_its_file() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("model.onnx"), "hello").unwrap();
    let card = dir.path().join(CARD_FILE);
    std::fs::write(&card, CARD).unwrap();
    for path in [dir.path(), &card] {
        let model = Model::open(path).unwrap();
        assert_eq!((model.name(), model.version()), ("tiny", "1.0.0"));
        assert_eq!(*model.labels(), ["no", "yes"]);
        assert_eq!(model.file(), dir.path().join("model.onnx"));
        assert_eq!(model.directory(), dir.path());
        assert_eq!(model.card().inputs.first().unwrap().to_string(), "`features` float32 [-1, 4]");
    }
}

#[test]
fn a_wrong_checksum_is_refused_with_both_sums() {
    let zeros = "0".repeat(64);
    let text = open("2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824", &zeros).unwrap_err();
    let text = text.to_string();
    assert!(text.contains(&zeros) && text.contains("2cf24dba"), "{text}");
}

#[test]
fn what_a_card_must_not_say() {
    refused("version = ", "vresion = ", "unknown field `vresion`");
    refused("model.onnx", "../model.onnx", "must be a path below the card's directory");
    refused("model.onnx", "/etc/passwd", "must be a path below the card's directory");
    refused("2cf24dba", "2CF24DBA", "64 lower-case hexadecimal digits");
    refused("\"yes\"", "\"no\"", "label `no` is named twice");
    refused("name = \"tiny\"", "name = \" \"", "name must not be empty");
    refused("type = \"float32\"", "type = \"float64\"", "unknown variant `float64`");
}

#[test]
fn a_missing_file_is_named() {
    let text = Model::open(Path::new("/nowhere/model.toml")).unwrap_err().to_string();
    assert!(text.starts_with("cannot read /nowhere/model.toml: "), "{text}");
    refused("model.onnx", "other.onnx", "other.onnx: ");
}
