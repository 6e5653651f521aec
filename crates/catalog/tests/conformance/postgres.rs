//! A PostgreSQL of the test's own: in a temporary folder, reached by a socket in it, and gone with it.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, geteuid, kill_process};
use sqlx::{ConnectOptions, Connection};
use tempfile::TempDir;
use tracediff_catalog::{Catalog, CatalogError, Place};

use crate::opening::connect;
use crate::{chain, examples, runtime};

const PASSWORD: &str = "correct-horse";

/// A running cluster; it is stopped when it is dropped, and by the kernel if this process is killed.
pub(crate) struct Cluster {
    folder: TempDir,
    server: Option<Child>,
}

impl Cluster {
    /// Starts one. `None` where PostgreSQL is not installed, unless it is required.
    pub(crate) fn start_or_skip() -> Option<Cluster> {
        let Some(programs) = find_programs() else {
            assert!(
                std::env::var("TRACEDIFF_REQUIRE_POSTGRES").as_deref() != Ok("1"),
                "PostgreSQL is required here, and its initdb is not installed"
            );
            eprintln!("skipped: PostgreSQL is not installed");
            return None;
        };
        let user = if geteuid().is_root() {
            Some(find_user())
        } else {
            None
        };
        let folder = tempfile::Builder::new().prefix("td-pg-").tempdir().unwrap();
        let password = folder.path().join("password");
        File::create(&password)
            .unwrap()
            .write_all(PASSWORD.as_bytes())
            .unwrap();
        if let Some((uid, gid)) = user {
            chown(folder.path(), Some(uid), Some(gid)).unwrap();
            chown(&password, Some(uid), Some(gid)).unwrap();
        }
        let data = folder.path().join("data");
        let made = run_as(user, &programs.join("initdb"))
            .arg("--no-sync")
            .args([
                "--username=tracediff",
                "--auth=scram-sha-256",
                "--encoding=UTF8",
                "--locale=C",
            ])
            .arg("--pwfile")
            .arg(&password)
            .arg("-D")
            .arg(&data)
            .current_dir(folder.path())
            .output()
            .unwrap();
        assert!(
            made.status.success(),
            "initdb: {}",
            String::from_utf8_lossy(&made.stderr)
        );
        let log = File::create(folder.path().join("log")).unwrap();
        let server = run_as(user, &programs.join("postgres"))
            .arg("-D")
            .arg(&data)
            .arg("-k")
            .arg(folder.path())
            .args([
                "-c",
                "listen_addresses=",
                "-c",
                "fsync=off",
                "-c",
                "max_connections=200",
            ])
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let cluster = Cluster {
            folder,
            server: Some(server),
        };
        cluster.wait();
        Some(cluster)
    }

    fn wait(&self) {
        let end = Instant::now() + Duration::from_secs(60);
        let runtime = runtime();
        while let Err(error) = runtime.block_on(self.execute("SELECT 1")) {
            let log = std::fs::read_to_string(self.folder.path().join("log")).unwrap();
            assert!(
                Instant::now() < end,
                "PostgreSQL does not start: {error}\n{log}"
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    async fn execute(&self, statement: &str) -> Result<(), sqlx::Error> {
        let options: sqlx::postgres::PgConnectOptions = self.url(PASSWORD, "postgres").parse()?;
        let mut connection = options.connect().await?;
        sqlx::raw_sql(sqlx::AssertSqlSafe(statement.to_owned()))
            .execute(&mut connection)
            .await?;
        connection.close().await
    }

    fn url(&self, password: &str, database: &str) -> String {
        let socket = self.folder.path().display().to_string().replace('/', "%2F");
        format!("postgres://tracediff:{password}@{socket}:5432/{database}")
    }

    /// A database that nobody used.
    pub(crate) fn new_database(&self, name: &str) -> Place {
        runtime()
            .block_on(self.execute(&format!("CREATE DATABASE {name}")))
            .unwrap();
        Place::Postgres(self.url(PASSWORD, name))
    }

    fn stop(&mut self) {
        let Some(mut server) = self.server.take() else {
            return;
        };
        // A fast shutdown: PostgreSQL ends its connections and itself.
        kill_process(Pid::from_child(&server), Signal::INT).unwrap();
        server.wait().unwrap();
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The folder with `initdb` and `postgres`.
fn find_programs() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let configured = Command::new("pg_config")
        .arg("--bindir")
        .output()
        .ok()
        .map(|output| PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()));
    // Debian has a folder for each version.
    let installed = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .map(|version| version.path().join("bin"));
    std::env::split_paths(&path)
        .chain(configured)
        .chain(installed)
        .find(|folder| folder.join("initdb").is_file() && folder.join("postgres").is_file())
}

/// PostgreSQL refuses to run as root: somebody else's user and group.
fn find_user() -> (u32, u32) {
    let number = |flag: &str, name: &str| {
        let output = Command::new("id")
            .args([flag, name])
            .stderr(Stdio::null())
            .output()
            .unwrap();
        String::from_utf8_lossy(&output.stdout)
            .trim()
            .parse::<u32>()
            .ok()
    };
    ["postgres", "nobody"]
        .iter()
        .find_map(|name| Some((number("-u", name)?, number("-g", name)?)))
        .expect("neither a user postgres nor nobody")
}

fn run_as(user: Option<(u32, u32)>, program: &Path) -> Command {
    let mut command = Command::new("setpriv");
    command.arg("--pdeathsig=INT");
    if let Some((uid, gid)) = user {
        command.args([
            format!("--reuid={uid}"),
            format!("--regid={gid}"),
            "--clear-groups".to_owned(),
        ]);
    }
    command.arg(program);
    command
}

impl Cluster {
    /// Waits until so many connections to a database wait for a lock.
    async fn wait_for_waiters(&self, database: &str, waiter_count: usize) {
        let options: sqlx::postgres::PgConnectOptions =
            self.url(PASSWORD, "postgres").parse().unwrap();
        let mut connection = options.connect().await.unwrap();
        let end = Instant::now() + Duration::from_secs(30);
        loop {
            let waiting = sqlx::query(
                "SELECT pid FROM pg_stat_activity WHERE datname = $1 AND wait_event_type = 'Lock'",
            )
            .bind(database)
            .fetch_all(&mut connection)
            .await
            .unwrap();
            if waiting.len() == waiter_count {
                return;
            }
            assert!(Instant::now() < end, "{} wait for a lock", waiting.len());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

/// Two that look at the same job in the same moment, which is brought about by holding its row: one gets it, the other the next.
pub(crate) fn one_job_looked_at_by_two_goes_to_one(cluster: &Cluster) {
    let place = cluster.new_database("looked_at_by_two");
    runtime().block_on(async {
        let catalog = Catalog::open(&place).await.unwrap();
        for round in 0..5 {
            let to_ns = examples::NOW + round;
            let wanted = examples::snapshot(Some("q"), to_ns);
            catalog.add_snapshot(&wanted).await.unwrap();
            let mut holder = connect(&place).await;
            let mut holding = holder.begin().await.unwrap();
            sqlx::query("UPDATE snapshots SET name = name WHERE id = $1")
                .bind(&wanted.id)
                .execute(&mut *holding)
                .await
                .unwrap();
            let claims = ["one", "two", "three"].map(|owner| {
                let catalog = catalog.clone();
                tokio::spawn(async move {
                    catalog
                        .claim_snapshot(owner, to_ns, i64::MAX)
                        .await
                        .unwrap()
                })
            });
            cluster.wait_for_waiters("looked_at_by_two", 3).await;
            holding.commit().await.unwrap();
            let mut claimed_count = 0;
            for claim in claims {
                claimed_count += usize::from(claim.await.unwrap().is_some());
            }
            assert_eq!(claimed_count, 1);
        }
    });
}

/// Who migrates holds a lock, for which the next one waits.
pub(crate) fn migrations_wait_for_each_other(cluster: &Cluster) {
    let place = cluster.new_database("migrations");
    runtime().block_on(async {
        let mut holder = connect(&place).await;
        let mut holding = holder.begin().await.unwrap();
        sqlx::query("SELECT pg_advisory_xact_lock($1)")
            .bind(i64::from_be_bytes(*b"tracedif"))
            .execute(&mut *holding)
            .await
            .unwrap();
        let opened = tokio::spawn(async move { Catalog::open(&place).await.unwrap() });
        cluster.wait_for_waiters("migrations", 1).await;
        holding.commit().await.unwrap();
        assert_eq!(opened.await.unwrap().queries().await.unwrap(), []);
    });
}

/// A wrong password is told as such, and not told.
pub(crate) fn refuses_a_wrong_password(cluster: &Cluster) {
    let place = Place::Postgres(cluster.url("wrong-horse", "postgres"));
    let error = runtime().block_on(Catalog::open(&place)).unwrap_err();
    let text = chain(&error);
    assert!(matches!(error, CatalogError::Open { .. }), "{error:?}");
    assert!(
        text.contains("password authentication failed for user \"tracediff\""),
        "{text}"
    );
    assert!(
        text.contains("/postgres")
            && !text.contains("wrong-horse")
            && !format!("{error:?} {place:?}").contains("wrong-horse"),
        "{text}"
    );
}

/// A server that went away is an error that may pass.
pub(crate) fn says_that_it_is_away(cluster: &mut Cluster) {
    let runtime = runtime();
    let place = cluster.new_database("away");
    let catalog = runtime.block_on(Catalog::open(&place)).unwrap();
    assert_eq!(runtime.block_on(catalog.queries()).unwrap(), []);
    cluster.stop();
    let error = runtime.block_on(catalog.queries()).unwrap_err();
    assert!(error.is_retryable(), "{error:?}");
    assert_eq!(
        error.to_string(),
        "the catalog cannot be reached to list queries"
    );
    let error = runtime.block_on(Catalog::open(&place)).unwrap_err();
    assert!(
        matches!(error, CatalogError::Open { .. }) && !chain(&error).contains(PASSWORD),
        "{error:?}"
    );
}
