//! `tracediff token`: makes, lists and removes tokens, in the catalog of a server that may run meanwhile.

use std::process::ExitCode;

use anyhow::{Context as _, bail};
use jiff::Timestamp;
use tracediff_catalog::{Catalog, Place, Token, new_id};
use tracediff_server::{Role, Secret};

use crate::args::{TokenArgs, TokenCommand};
use crate::harmless::harmless;
use crate::serve::catalog_place;

/// Runs the command.
pub(crate) fn run(args: &TokenArgs) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let catalog = open(args).await?;
        match &args.command {
            TokenCommand::Create { role, name } => create(&catalog, *role, name).await?,
            TokenCommand::List => list(&catalog).await?,
            TokenCommand::Rm { id } => {
                if !catalog.delete_token(id).await? {
                    bail!("there is no token `{id}`: `tracediff token list` shows all");
                }
                anstream::println!("removed");
            }
        }
        catalog.close().await;
        Ok(ExitCode::SUCCESS)
    })
}

async fn open(args: &TokenArgs) -> anyhow::Result<Catalog> {
    let place = catalog_place(&args.data_dir, args.catalog.as_deref());
    if let Place::Sqlite(_) = &place {
        let folder = args.data_dir.display();
        std::fs::create_dir_all(&args.data_dir)
            .with_context(|| format!("cannot make the folder {folder}"))?;
    }
    Ok(Catalog::open(&place).await?)
}

/// The secret alone goes to standard output, so that it can be piped to where it is needed.
async fn create(catalog: &Catalog, role: Role, name: &str) -> anyhow::Result<()> {
    let secret = Secret::random().context("the system has no random bytes")?;
    let token = Token {
        id: new_id(),
        name: name.to_owned(),
        role: role.word().to_owned(),
        hash: secret.hash(),
        created_ns: i64::try_from(Timestamp::now().as_nanosecond())?,
    };
    catalog.add_token(&token).await?;
    anstream::eprintln!(
        "token {} with the role {role}; it is shown only now:",
        token.id
    );
    anstream::println!("{}", secret.reveal());
    Ok(())
}

async fn list(catalog: &Catalog) -> anyhow::Result<()> {
    let tokens = catalog.tokens().await?;
    if tokens.is_empty() {
        anstream::eprintln!("there is no token: make one with `tracediff token create`");
        return Ok(());
    }
    anstream::println!("{:<32}  {:<6}  {:<20}  NAME", "ID", "ROLE", "MADE");
    for token in tokens {
        let made = Timestamp::from_nanosecond(i128::from(token.created_ns))?;
        anstream::println!(
            "{:<32}  {:<6}  {:<20}  {}",
            token.id,
            token.role,
            made.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            harmless(&token.name)
        );
    }
    Ok(())
}
