//! What is generated from the program itself.

use super::shop::sandbox;

#[test]
fn completions_know_the_commands_and_options() {
    for (shell, mark) in [
        ("bash", "complete -F _tracediff"),
        ("zsh", "#compdef tracediff"),
        ("fish", "complete -c tracediff"),
    ] {
        let output = sandbox().run(&format!("completions {shell}"));
        let script = output.expect_code(0);
        assert!(script.contains(mark), "{shell}: {script}");
        for word in ["compare", "simulate", "baseline-window", "fail-on"] {
            assert!(script.contains(word), "{shell} lacks {word}");
        }
    }
    assert_eq!(sandbox().run("completions tcsh").code, Some(2));
}

#[test]
fn the_manual_page_is_roff_about_every_command() {
    let output = sandbox().run("man");
    let page = output.expect_code(0);
    assert!(page.starts_with(".ie") || page.starts_with(".TH"), "{page}");
    assert!(page.contains(".SH NAME") && page.contains(".SH SYNOPSIS"));
    for text in [
        "\\fB\\-\\-fail\\-on\\fR",
        "\\-\\-scenario",
        "Compare two sets of traces",
    ] {
        assert!(page.contains(text), "{text}");
    }
}

#[test]
fn help_teaches_with_examples_and_exit_codes() {
    let output = sandbox().run("compare --help");
    let help = output.expect_code(0);
    for text in [
        "Examples:",
        "Exit code:",
        "--baseline-window -30m/-15m",
        "stdin",
    ] {
        assert!(help.contains(text), "{text}");
    }
    assert!(
        sandbox()
            .run("--version")
            .expect_code(0)
            .starts_with("tracediff 0.")
    );
}

#[test]
fn an_unknown_option_is_usage() {
    let output = sandbox().run("compare a b --wehre x");
    assert_eq!(output.expect_code(2), "");
    assert!(output.stderr.contains("--where"), "{output}");
}
