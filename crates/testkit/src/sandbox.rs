//! Starts the real binary in a folder of its own, with nothing inherited, and gives exit code and output together.

use std::fmt;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

/// A temporary folder in which the binary runs. Paths in arguments and messages are relative to it.
#[derive(Debug)]
pub struct Sandbox {
    binary: PathBuf,
    folder: TempDir,
}

impl Sandbox {
    /// An empty folder for the binary at this path: `env!("CARGO_BIN_EXE_tracediff")` in a test of the CLI.
    pub fn new(binary: impl Into<PathBuf>) -> Self {
        let folder = TempDir::new().unwrap_or_else(|e| panic!("no temporary folder: {e}"));
        Self {
            binary: binary.into(),
            folder,
        }
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Writes a file, and the folders above it.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> &Self {
        let path = self.folder().join(name);
        let written = path
            .parent()
            .map_or(Ok(()), std::fs::create_dir_all)
            .and_then(|()| std::fs::write(&path, content));
        written.unwrap_or_else(|e| panic!("could not write `{name}`: {e}"));
        self
    }

    /// The content of a file that the binary wrote.
    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.folder().join(name))
            .unwrap_or_else(|e| panic!("could not read `{name}`: {e}"))
    }

    /// Runs the binary with a line of arguments, as a shell would take them; single quotes hold an argument together.
    pub fn run(&self, line: &str) -> Output {
        self.run_with(line, &[], b"")
    }

    /// Runs the binary with these environment variables (and no others) and this on its standard input.
    pub fn run_with(&self, line: &str, environment: &[(&str, &str)], stdin: &[u8]) -> Output {
        let mut command = Command::new(&self.binary);
        command
            .args(arguments(line))
            .current_dir(self.folder())
            .env_clear()
            .envs(environment.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command
            .spawn()
            .unwrap_or_else(|e| panic!("could not start {}: {e}", self.binary.display()));
        let pipe = child.stdin.take();
        let output = std::thread::scope(|scope| {
            // The binary may end before it has read everything; that is for the test to judge.
            scope.spawn(move || pipe.map(|mut pipe| pipe.write_all(stdin)));
            child.wait_with_output()
        });
        let output = output.unwrap_or_else(|e| panic!("could not wait for the binary: {e}"));
        let text = |bytes: Vec<u8>, name: &str| {
            let text = String::from_utf8(bytes)
                .unwrap_or_else(|e| panic!("{name} of `{line}` is not UTF-8: {e}"));
            text.replace(&*self.folder().to_string_lossy(), "[FOLDER]")
        };
        Output {
            code: output.status.code(),
            stdout: text(output.stdout, "stdout"),
            stderr: text(output.stderr, "stderr"),
        }
    }
}

/// What a run gave. As text, all of it together, for snapshots.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// The exit code; `None` where a signal ended the binary.
    pub code: Option<i32>,
    /// Standard output, with the sandbox's folder as `[FOLDER]`.
    pub stdout: String,
    /// Standard error, likewise.
    pub stderr: String,
}

impl Output {
    /// Standard output of a run that must have ended with this code.
    #[track_caller]
    pub fn expect_code(&self, code: i32) -> &str {
        assert_eq!(self.code, Some(code), "{self}");
        &self.stdout
    }

    /// Standard output, as JSON, of a run that must have ended well.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(self.expect_code(0)).unwrap_or_else(|e| panic!("no JSON: {e}\n{self}"))
    }
}

impl fmt::Display for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.code {
            Some(code) => write!(f, "exit {code}")?,
            None => write!(f, "ended by a signal")?,
        }
        for (name, text) in [("stdout", &self.stdout), ("stderr", &self.stderr)] {
            if !text.is_empty() {
                write!(f, "\n--- {name}\n{}", text.trim_end_matches('\n'))?;
            }
        }
        Ok(())
    }
}

/// The arguments of a line. White space ends one, but not between single quotes.
fn arguments(line: &str) -> Vec<String> {
    let mut arguments = Vec::new();
    let mut current: Option<String> = None;
    let mut is_quoted = false;
    for c in line.chars() {
        if c == '\'' {
            is_quoted = !is_quoted;
            current.get_or_insert_default();
        } else if c.is_whitespace() && !is_quoted {
            arguments.extend(current.take());
        } else {
            current.get_or_insert_default().push(c);
        }
    }
    assert!(!is_quoted, "a quote is not closed: {line}");
    arguments.extend(current);
    arguments
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_hold_an_argument_together() {
        assert_eq!(
            arguments("compare a.json  --where 'service = x' --out=''"),
            ["compare", "a.json", "--where", "service = x", "--out="]
        );
    }
}
