//! Sound checkpoints read back; unsound ones are refused by name.

use std::fs;
use std::path::Path;

use half::bf16;
use half::f16;

use super::*;

#[test]
fn what_was_written_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    let a = Weight::from_f32([2, 3], vec![1.0, -2.0, 3.5, 0.0, 5.0, f32::MIN_POSITIVE]).unwrap();
    let b = Weight::from_bf16([3], [1.0, -0.5, 2.0].map(bf16::from_f32).to_vec()).unwrap();
    let c = Weight::from_f16([1, 1], vec![f16::from_f32(0.25)]).unwrap();
    safetensors::write(&path, &[("a", &a), ("b", &b), ("c", &c)]).unwrap();
    for open in [folder.path(), path.as_path()] {
        let checkpoint = Checkpoint::open(open).unwrap();
        assert_eq!(
            checkpoint.entries().map(|(name, _)| name).collect::<Vec<_>>(),
            ["a", "b", "c"]
        );
        for (name, weight) in [("a", &a), ("b", &b), ("c", &c)] {
            let read = checkpoint.weight(name, weight.shape()).unwrap();
            assert_eq!(
                (read.dtype(), read.to_f32()),
                (weight.dtype(), weight.to_f32()),
                "{name}"
            );
        }
        checkpoint.finish().unwrap();
    }
}

#[test]
fn misaligned_numbers_are_read_too() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    for spaces in 0..8 {
        let header =
            r#"{"x":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#.to_owned() + &" ".repeat(spaces);
        let numbers: Vec<u8> = [1.5_f32, -2.25].into_iter().flat_map(f32::to_le_bytes).collect();
        fs::write(&path, file(&header, &numbers)).unwrap();
        let weight = Checkpoint::open(&path).unwrap().weight("x", [2]).unwrap();
        assert_eq!(weight.to_f32(), [1.5, -2.25], "{spaces} spaces");
    }
}

#[test]
fn unsound_files_are_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bad.safetensors");
    let check = |bytes: Vec<u8>, expected: &str| {
        fs::write(&path, &bytes).unwrap();
        let error = Checkpoint::open(&path)
            .err()
            .unwrap_or_else(|| panic!("accepted: {expected}"));
        let said = chain(&error);
        assert!(
            said.contains(expected) && said.contains("bad.safetensors"),
            "{said}\nexpected: {expected}"
        );
    };
    let tensor = |header: &str, data: usize| file(header, &vec![0; data]);
    check(vec![1, 2, 3], "ends within its header");
    check(u64::MAX.to_le_bytes().to_vec(), "beyond the limit");
    check(1000_u64.to_le_bytes().to_vec(), "ends within its header");
    check(tensor("[]", 0), "does not parse");
    check(tensor("{", 0), "does not parse");
    check(tensor(&"[".repeat(100_000), 0), "does not parse");
    check(
        tensor(r#"{"x":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}}"#, 4),
        "does not parse",
    );
    check(
        tensor(r#"{"x":{"dtype":"F32","shape":[1],"data_offsets":[0,4,8]}}"#, 4),
        "does not parse",
    );
    check(
        tensor(r#"{"x":{"dtype":"Q9","shape":[1],"data_offsets":[0,4]}}"#, 4),
        r#""x" is stored as "Q9""#,
    );
    let twice = r#"{"x":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"x":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}"#;
    check(tensor(twice, 2), r#""x" is described twice"#);
    let huge = r#"{"x":{"dtype":"F32","shape":[4294967296,4294967296,2],"data_offsets":[0,0]}}"#;
    check(tensor(huge, 0), r#""x" has the impossible shape"#);
    let wraps = r#"{"x":{"dtype":"F32","shape":[4611686018427387904],"data_offsets":[0,0]}}"#;
    check(tensor(wraps, 0), r#""x" has the impossible shape"#);
    check(
        tensor(
            r#"{"x":{"dtype":"U8","shape":[1,1,1,1,1,1,1,1,1],"data_offsets":[0,1]}}"#,
            1,
        ),
        "impossible shape",
    );
    check(
        tensor(r#"{"x":{"dtype":"F4","shape":[1],"data_offsets":[0,1]}}"#, 1),
        "impossible shape",
    );
    check(
        tensor(r#"{"x":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}}"#, 4),
        r#""x" takes 8 bytes"#,
    );
    check(
        tensor(r#"{"x":{"dtype":"U8","shape":[1],"data_offsets":[1,0]}}"#, 1),
        r#""x" takes 1 bytes"#,
    );
    let overlap = r#"{"x":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"y":{"dtype":"U8","shape":[4],"data_offsets":[2,6]}}"#;
    check(tensor(overlap, 6), r#""y" starts at byte 2"#);
    let hole = r#"{"x":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"y":{"dtype":"U8","shape":[1],"data_offsets":[2,3]}}"#;
    check(tensor(hole, 3), r#""y" starts at byte 2"#);
    let one = r#"{"x":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}}"#;
    check(tensor(one, 3), r#"the last is "x""#);
    check(tensor(one, 5), r#"the last is "x""#);
    let far =
        r#"{"x":{"dtype":"U8","shape":[1],"data_offsets":[18446744073709551614,18446744073709551615]}}"#;
    check(tensor(far, 1), r#""x" starts at byte"#);
}

#[test]
fn a_model_that_does_not_fit_is_told_where() {
    let folder = tempfile::tempdir().unwrap();
    let header = r#"{"x":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"ids":{"dtype":"I64","shape":[1],"data_offsets":[4,12]}}"#;
    fs::write(folder.path().join("m.safetensors"), file(header, &[0; 12])).unwrap();
    let checkpoint = Checkpoint::open(folder.path()).unwrap();
    let check = |result: Result<(), CheckpointError>, expected: &str| {
        let said = chain(&result.unwrap_err());
        assert!(said.contains(expected), "{said}");
    };
    check(checkpoint.weight("z", [1]).map(drop), r#"has no tensor "z""#);
    check(
        checkpoint.weight("x", [2]).map(drop),
        r#"m.safetensors: the tensor "x" should be [2] and is [1]"#,
    );
    check(
        checkpoint.weight("ids", [1]).map(drop),
        r#""ids" is stored as i64"#,
    );
    check(
        checkpoint.finish(),
        r#"m.safetensors holds 2 tensors that the model does not have, "ids" among them"#,
    );
    checkpoint.weight("x", [1]).unwrap();
    check(checkpoint.finish(), r#"1 tensors"#);
    checkpoint.ignore("ids");
    checkpoint.finish().unwrap();
}

#[test]
fn shards_are_joined_by_their_index() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let (one, two) = (number(1.0), number(2.0));
    let open = |index: &str| {
        fs::write(at("model.safetensors.index.json"), index).unwrap();
        Checkpoint::open(folder.path())
    };
    let check = |result: Result<Checkpoint, CheckpointError>, expected: &str| {
        let said = chain(&result.err().expect("an error"));
        assert!(said.contains(expected), "{said}");
    };
    assert!(matches!(
        Checkpoint::open(folder.path()),
        Err(CheckpointError::Empty { .. })
    ));
    safetensors::write(at("s1.safetensors"), &[("a", &one)]).unwrap();
    safetensors::write(at("s2.safetensors"), &[("b", &two)]).unwrap();
    assert!(matches!(
        Checkpoint::open(folder.path()),
        Err(CheckpointError::Ambiguous { .. })
    ));

    let checkpoint =
        open(r#"{"metadata":{},"weight_map":{"a":"s1.safetensors","b":"s2.safetensors"}}"#).unwrap();
    assert_eq!(checkpoint.weight("b", [1]).unwrap().to_f32(), [2.0]);
    assert_eq!(checkpoint.file_of("a"), Some(at("s1.safetensors").as_path()));

    check(open("{}"), "not a sound index");
    check(
        open(r#"{"weight_map":{"a":"../s1.safetensors"}}"#),
        "not a plain file name",
    );
    check(
        open(r#"{"weight_map":{"a":"/etc/passwd"}}"#),
        "not a plain file name",
    );
    check(open(r#"{"weight_map":{"a":".."}}"#), "not a plain file name");
    check(open(r#"{"weight_map":{"a":"s3.safetensors"}}"#), "cannot open");
    check(
        open(r#"{"weight_map":{"a":"s2.safetensors"}}"#),
        r#"s2.safetensors should hold the tensor "a""#,
    );
    safetensors::write(at("s2.safetensors"), &[("a", &two), ("b", &two)]).unwrap();
    check(
        open(r#"{"weight_map":{"a":"s1.safetensors","b":"s2.safetensors"}}"#),
        r#"the tensor "a" that another"#,
    );
    check(
        Checkpoint::open(Path::new("/nowhere/at/all")),
        "cannot open /nowhere/at/all",
    );
}

fn number(value: f32) -> Weight {
    Weight::from_f32([1], vec![value]).unwrap()
}

fn file(header: &str, data: &[u8]) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes(), header.as_bytes(), data].concat()
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut said = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        said += &format!(": {error}");
        source = error.source();
    }
    said
}
