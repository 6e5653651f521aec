//! Which files a path stands for: folders, globs, standard input, several paths a side.

use insta::assert_snapshot;
use tracediff_testkit::{Output, Sandbox, Traces};

use super::formats::gzip;
use super::shop::{sandbox, small, values, warnings};

/// Traces with one span each, all with this operation. Those of another operation have other ids.
fn operation(name: &str, count: u64) -> Traces {
    let first_id = u64::from(name.as_bytes()[0]) << 32;
    Traces::parse(&format!("web: {name} 5ms"))
        .repeat(count, std::time::Duration::from_secs(1))
        .edit(|span| span.trace += first_id)
}

/// The operations that both sides have, those that only the candidate has, and those that only the baseline has.
#[track_caller]
fn operations(output: &Output) -> String {
    let [new, missing, both] = values(&output.json(), "operation");
    format!(
        "{} +{} −{}",
        both.join(","),
        new.join(","),
        missing.join(",")
    )
}

/// `before/` and `after/`, each with files in several formats, one of them in a folder below.
fn folders() -> Sandbox {
    let sandbox = sandbox();
    sandbox
        .write("before/1.jsonl", operation("a", 2).otlp_json_lines())
        .write("before/2.json", operation("b", 2).jaeger())
        .write("before/below/3", gzip(&operation("c", 2).otlp_protobuf()))
        .write("before/.hidden", "not traces")
        .write("after/1.jsonl", operation("a", 2).otlp_json_lines())
        .write("after/2.json", operation("d", 2).zipkin());
    sandbox
}

#[test]
fn a_folder_is_all_its_files() {
    let output = folders().run("compare before after --format json");
    assert_snapshot!(operations(&output), @"a +d −b,c");
}

#[test]
fn a_file_in_a_folder_that_is_no_traces_is_skipped_and_told() {
    let sandbox = folders();
    sandbox.write("before/README.md", "# About\nHow these were recorded.\n");
    let output = sandbox.run("compare before after --format json");
    assert_snapshot!(operations(&output), @"a +d −b,c");
    assert!(
        warnings(&output).contains(
            "skipped_files: 1 file in the baseline's folder hold no traces: before/README.md"
        ),
        "{output}"
    );
}

#[test]
fn strict_asks_that_every_file_of_a_folder_is_traces() {
    let sandbox = folders();
    sandbox.write("before/README.md", "# About\nHow these were recorded.\n");
    assert_snapshot!(sandbox.run("compare before after --strict"), @"
    exit 2
    --- stderr
    error: before/README.md
      because: line 1, column 1: found text that begins with `# About`; expected traces as OTLP (protobuf, JSON or JSON lines), Jaeger JSON, Zipkin v2 JSON or Lightstep stored traces
    ");
}

#[cfg(unix)]
#[test]
fn links_that_lead_in_a_circle_and_what_is_no_file_are_passed_over() {
    let sandbox = folders();
    let below = sandbox.folder().join("before/below");
    std::os::unix::fs::symlink("..", below.join("up")).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(below.join("socket")).unwrap();
    let output = sandbox.run("compare before after --format json");
    assert_snapshot!(operations(&output), @"a +d −b,c");
    assert_eq!(warnings(&output).matches("skipped_files").count(), 0);
    assert_eq!(output.json()["quality"]["baseline"]["duplicate_spans"], 0);
}

#[test]
fn a_glob_is_the_files_that_match() {
    let sandbox = folders();
    let output = sandbox.run("compare 'before/*.json*' after/1.jsonl --format json");
    assert_snapshot!(operations(&output), @"a + −b");
    let output = sandbox.run("compare 'before/**/*' after/1.jsonl --format json");
    assert_snapshot!(operations(&output), @"a + −b,c");
}

#[test]
fn a_file_whose_name_looks_like_a_glob_is_that_file() {
    let sandbox = folders();
    sandbox.write("run[1].jsonl", operation("a", 1).otlp_json_lines());
    let output = sandbox.run("compare 'run[1].jsonl' after/1.jsonl --format json");
    assert_snapshot!(operations(&output), @"a + −");
}

#[test]
fn a_side_may_be_several_paths() {
    let sandbox = folders();
    let output = sandbox.run(
        "compare before/1.jsonl after/1.jsonl --baseline before/2.json --baseline before/below \
         --candidate after/2.json --format json",
    );
    assert_snapshot!(operations(&output), @"a +d −b,c");
    let output = sandbox.run("compare --baseline before --candidate after --format json");
    assert_snapshot!(operations(&output), @"a +d −b,c");
    let output = sandbox.run_with(
        "compare before/1.jsonl after --baseline - --format json",
        &[],
        &operation("b", 2).otlp_protobuf_delimited(),
    );
    assert_snapshot!(operations(&output), @"a +d −b");
}

#[test]
fn the_same_file_twice_counts_once() {
    let output = folders()
        .run("compare before/1.jsonl after/1.jsonl --baseline before/1.jsonl --format json");
    assert_eq!(output.json()["quality"]["baseline"]["duplicate_spans"], 0);
    assert_eq!(output.json()["quality"]["baseline"]["spans"], 2);
}

#[test]
fn a_missing_file_is_told() {
    assert_snapshot!(small().run("compare before.jsonl afterr.jsonl"), @"
    exit 2
    --- stderr
    error: `afterr.jsonl` does not exist; name a file, a folder, a quoted glob such as 'traces/*.jsonl', or -
    ");
    assert_snapshot!(small().run("compare 'before*.pb' after.jsonl"), @"
    exit 2
    --- stderr
    error: no file matches `before*.pb`
    ");
}

#[test]
fn a_folder_without_files_is_told() {
    let sandbox = small();
    sandbox.write("empty/.gitkeep", "");
    assert_snapshot!(sandbox.run("compare empty after.jsonl"), @"
    exit 2
    --- stderr
    error: the folder `empty` holds no files
    ");
}

#[test]
fn standard_input_can_be_one_side_only() {
    assert_snapshot!(small().run("compare - -"), @"
    exit 2
    --- stderr
    error: standard input (-) can be only one of the sides
    ");
}

#[test]
fn the_number_of_inputs_has_to_fit() {
    let sandbox = small();
    assert_snapshot!(sandbox.run("compare before.jsonl"), @"
    exit 2
    --- stderr
    error: one input has only one side; name the candidate too, or give windows or --split
    ");
    assert_snapshot!(sandbox.run("compare before.jsonl after.jsonl after.jsonl"), @"
    exit 2
    --- stderr
    error: 3 inputs, but there are two sides; give each side as a folder or a quoted glob, or name more files with --baseline and --candidate
    ");
    assert_snapshot!(sandbox.run("compare"), @"
    exit 2
    --- stderr
    error: the following required arguments were not provided:
      <BASELINE CANDIDATE | FILES>...

    Usage: tracediff compare <BASELINE CANDIDATE | FILES>...

    For more information, try '--help'.
    ");
}

#[test]
fn output_goes_to_a_file_without_colours() {
    let sandbox = small();
    let printed = sandbox.run("compare before.jsonl after.jsonl");
    let output = sandbox.run_with(
        "compare before.jsonl after.jsonl --out result.txt",
        &[("CLICOLOR_FORCE", "1")],
        b"",
    );
    assert_snapshot!(output, @"exit 0");
    assert!(!printed.stdout.contains('\u{1b}'));
    assert_eq!(sandbox.read("result.txt"), printed.stdout);
}

#[test]
fn a_file_that_cannot_be_written_is_told() {
    assert_snapshot!(small().run("compare before.jsonl after.jsonl --out no/such/folder"), @"
    exit 2
    --- stderr
    error: could not write `no/such/folder`
      because: No such file or directory (os error 2)
    ");
}
