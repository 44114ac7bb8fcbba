//! `kintsugi up`: runs the local home until it is told to stop.

use crate::args::Up;
use crate::context::Context;
use crate::error::Error;
use crate::exit::Exit;
use crate::home::{LocalHome, PerAddress, Settings};
use crate::operator::Operator;
use crate::project::{self, Product};
use crate::signals::Signals;
use crate::{login, print, tools};
use kintsugi_app::records;
use kintsugi_domain::project::Project;
use serde_json::json;
use std::io;
use std::time::Duration;

/// The file with an admin token, below the data folder.
const TOKEN_FILE: &str = "admin.token";

/// How long threads that cannot be cut, such as the one of a search, are waited for at the end. The next
/// start does again what they leave.
const LAST_THREADS: Duration = Duration::from_millis(500);

/// Runs a home until SIGTERM or SIGINT.
pub(crate) fn run(up: &Up, context: &Context, json: bool) -> Result<Exit, Error> {
    tools::git()?;
    tools::python()?;
    let products: Result<Vec<Product>, Error> =
        up.projects.iter().map(|path| project::read(path)).collect();
    let products = products?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| system("start threads", &error))?;
    let ended = runtime.block_on(serve(up, context, &products, json));
    runtime.shutdown_timeout(LAST_THREADS);
    ended
}

async fn serve(
    up: &Up,
    context: &Context,
    products: &[Product],
    json: bool,
) -> Result<Exit, Error> {
    // Before anything is opened, so that no signal finds an open home without a way to stop.
    let mut signals = Signals::new()?;
    let settings = Settings {
        folder: up.place.data.clone(),
        listen: up.place.listen,
        passphrase: context.passphrase.clone().map(|secret| secret.0),
        git_credentials: context.git_credentials.clone(),
        code_signing: context.code_signing.clone(),
        leaves_jobs: up.leave_jobs,
        per_address: PerAddress {
            max: up.connections_per_address,
            proxies: up.proxies.clone(),
        },
    };
    let routes = match up.behind_tls {
        Some(_) => crate::routes_behind_tls,
        None => crate::routes,
    };
    let mut home = LocalHome::start(settings, routes).await?;
    let operator = Operator::of(&home.ports, "kintsugi up").await?;
    let mut ready = Ok(());
    for product in products {
        let added = project::add(&operator, product.clone()).await;
        ready = ready.and(added.map(|waits| {
            if let Some(sentence) = waits {
                print::warning(&sentence, json);
            }
        }));
    }
    if ready.is_ok() {
        ready = announce(&home, &operator, up.behind_tls.as_deref(), json).await;
    }
    if let Err(error) = ready {
        home.stop().await;
        return Err(error);
    }
    let ended = tokio::select! {
        error = home.failed() => Err(error),
        () = signals.any() => Ok(Exit::Done),
    };
    if ended.is_ok() && !json {
        print::say(&"stopping: what is in hand is finished or left for the next start");
    }
    home.stop().await;
    if ended.is_ok() && json {
        print::object(&json!({"event": "stopped"}));
    }
    ended
}

/// Says where everything is. `proxy` is the address of a proxy with TLS before the home.
async fn announce(
    home: &LocalHome,
    operator: &Operator,
    proxy: Option<&str>,
    json: bool,
) -> Result<(), Error> {
    let (folder, url) = (home.folder.display(), home.url());
    let reached = proxy.unwrap_or(&url);
    let console = format!("{reached}/console?code={}", operator.entry().await?);
    // For kintsugi login and scripts: the address is good once, and others may read what a terminal shows.
    let token_file = home.folder.join(TOKEN_FILE);
    login::write_for_owner(&token_file, operator.token().as_bytes())?;
    let token = token_file.display();
    if json {
        let line = json!({"event": "home", "data": folder.to_string(), "address": url, "console": console, "token": token.to_string()});
        print::object(&line);
    } else {
        print::out(&format_args!("data      {folder}"));
        print::out(&format_args!("address   {url}"));
        print::out(&format_args!(
            "console   {console}   good once, for 15 minutes"
        ));
        print::out(&format_args!(
            "token     {token}   role admin, for 12 hours"
        ));
    }
    for project in projects(home).await.map_err(Error::Store)? {
        let name = &project.config.product.name;
        let dsn = project::dsn(&project, reached).unwrap_or_else(|| "no key".to_owned());
        if json {
            let id = project.id;
            print::object(&json!({"event": "project", "project": id, "name": name, "dsn": dsn}));
        } else {
            print::out(&format_args!("DSN       {dsn}   {name}"));
        }
    }
    if let Some(why) = &home.no_sandbox {
        let sentence = format!(
            "searches for fixes and builds stop, because product code never runs unboxed: {why}; reports are taken all the same"
        );
        print::warning(&sentence, json);
    }
    if !home.address.ip().is_loopback() {
        let sentence = format!(
            "{} can be reached from other machines and speaks plain HTTP: put a proxy with TLS in front, let only the proxy reach it, and name it with --behind-tls",
            home.address
        );
        print::warning(&sentence, json);
    }
    if json {
        print::object(&json!({"event": "ready"}));
    } else {
        print::out(&"ready; stop with Ctrl-C");
    }
    Ok(())
}

async fn projects(home: &LocalHome) -> Result<Vec<Project>, kintsugi_domain::ports::PortError> {
    let store = home.ports.store.as_ref();
    let mut found = Vec::new();
    for id in store.projects().await? {
        found.extend(
            records::project(store, id)
                .await?
                .map(|stored| stored.value),
        );
    }
    Ok(found)
}

fn system(act: &'static str, error: &io::Error) -> Error {
    Error::System {
        act,
        why: error.to_string(),
    }
}
