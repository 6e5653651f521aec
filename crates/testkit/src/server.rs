//! Starts the real binary as a server on free ports, and sends requests to it.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// How long an answer may take before a test fails.
const PATIENCE: Duration = Duration::from_secs(30);

/// A server that runs until it is killed or stopped.
#[derive(Debug)]
pub struct Server {
    process: Child,
    /// `HOST:PORT` of OTLP over gRPC.
    pub otlp_grpc: String,
    /// `HOST:PORT` of OTLP over HTTP.
    pub otlp_http: String,
    /// `HOST:PORT` of the API.
    pub api: String,
}

impl Server {
    /// Starts `binary serve` on a data folder, with more arguments behind.
    pub fn start(binary: &str, data_dir: &Path, more: &[&str]) -> Self {
        let mut command = Command::new(binary);
        command.arg("serve").arg("--data-dir").arg(data_dir);
        Self::spawn(command, more)
    }

    /// The same, with variables in its environment, and with a file for what it says on standard error.
    pub fn logging(
        binary: &str,
        data_dir: &Path,
        more: &[&str],
        variables: &[(&str, &str)],
        log: &Path,
    ) -> Self {
        let mut command = Command::new(binary);
        command.arg("serve").arg("--data-dir").arg(data_dir);
        let log = File::create(log);
        let log = log.unwrap_or_else(|e| panic!("the file of the log cannot be made: {e}"));
        command.envs(variables.iter().copied()).stderr(log);
        Self::spawn(command, more)
    }

    /// Starts `binary demo`.
    pub fn demo(binary: &str, more: &[&str]) -> Self {
        let mut command = Command::new(binary);
        command.arg("demo");
        Self::spawn(command, more)
    }

    fn spawn(mut command: Command, more: &[&str]) -> Self {
        let mut process = command
            .args(["--listen", "127.0.0.1:0"])
            .args(["--otlp-grpc", "127.0.0.1:0"])
            .args(["--otlp-http", "127.0.0.1:0"])
            .args(more)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|e| panic!("could not start {command:?}: {e}"));
        let Some(stdout) = process.stdout.take() else {
            panic!("standard output was asked for");
        };
        let mut lines = BufReader::new(stdout).lines().map_while(Result::ok);
        let mut address = |name: &str| {
            lines
                .find_map(|line| {
                    let rest = line.strip_prefix(name)?.trim();
                    Some(rest.strip_prefix("http://").unwrap_or(rest).to_owned())
                })
                .unwrap_or_else(|| panic!("the server ended before it told where {name} is"))
        };
        Self {
            otlp_grpc: address("OTLP/gRPC"),
            otlp_http: address("OTLP/HTTP"),
            api: address("API"),
            process,
        }
    }

    /// The number of its process.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Kills it: it has no chance to do anything more.
    pub fn kill(mut self) {
        self.end("KILL");
    }

    /// Asks it to end, and waits until it has. Whether it ended well.
    pub fn stop(mut self) -> bool {
        self.end("TERM")
    }

    fn end(&mut self, signal: &str) -> bool {
        let id = self.process.id().to_string();
        let told = Command::new("kill").args(["-s", signal, &id]).status();
        assert!(
            told.is_ok_and(|status| status.success()),
            "kill -s {signal} {id}"
        );
        self.process
            .wait()
            .unwrap_or_else(|e| panic!("could not wait for the server: {e}"))
            .success()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Gone already, where the test ended it.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A connection that is kept.
#[derive(Debug)]
pub struct Connection {
    address: String,
    stream: TcpStream,
    answers: BufReader<TcpStream>,
    /// More headers of each request, each with its line's end.
    headers: String,
}

impl Connection {
    /// Connects to `HOST:PORT`.
    pub fn open(address: &str) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Self {
            address: address.to_owned(),
            answers: BufReader::new(stream.try_clone()?),
            stream,
            headers: String::new(),
        })
    }

    /// Calls the server by another name.
    #[must_use]
    pub fn called(mut self, host: &str) -> Self {
        host.clone_into(&mut self.address);
        self
    }

    /// Sends a header with each request from now on.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push_str(&format!("{name}: {value}\r\n"));
        self
    }

    /// The first lines of a request, up to its own headers.
    fn head(&self, method: &str, path: &str) -> String {
        let Self {
            address, headers, ..
        } = self;
        format!("{method} {path} HTTP/1.1\r\nHost: {address}\r\n{headers}")
    }

    /// Asks for a path; gives the answer's status and body.
    pub fn get(&mut self, path: &str) -> io::Result<(u16, Vec<u8>)> {
        let head = format!("{}\r\n", self.head("GET", path));
        self.stream.write_all(head.as_bytes())?;
        self.answer()
    }

    /// Posts a body; gives the answer's status and body.
    pub fn post(
        &mut self,
        path: &str,
        content_type: &str,
        body: &[u8],
    ) -> io::Result<(u16, Vec<u8>)> {
        let head = format!(
            "{}Content-Type: {content_type}\r\nContent-Length: {}\r\n\r\n",
            self.head("POST", path),
            body.len()
        );
        self.stream.write_all(&[head.as_bytes(), body].concat())?;
        self.answer()
    }

    /// Sends a request of any method with a body of JSON; gives the answer's status and document.
    pub fn json(
        &mut self,
        method: &str,
        path: &str,
        body: &str,
    ) -> io::Result<(u16, serde_json::Value)> {
        let head = format!(
            "{}Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            self.head(method, path),
            body.len()
        );
        self.stream
            .write_all(&[head.as_bytes(), body.as_bytes()].concat())?;
        let (status, body) = self.answer()?;
        Ok((status, serde_json::from_slice(&body)?))
    }

    fn answer(&mut self) -> io::Result<(u16, Vec<u8>)> {
        let broken = || io::Error::from(io::ErrorKind::UnexpectedEof);
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        let status = line
            .split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok());
        let status = status.ok_or_else(broken)?;
        let mut length = 0;
        loop {
            let mut line = String::new();
            self.answers.read_line(&mut line)?;
            let line = line.trim().to_ascii_lowercase();
            if line.is_empty() {
                break;
            }
            if let Some(bytes) = line.strip_prefix("content-length: ") {
                length = bytes.parse().map_err(|_| broken())?;
            }
        }
        let mut body = vec![0; length];
        self.answers.read_exact(&mut body)?;
        Ok((status, body))
    }
}
