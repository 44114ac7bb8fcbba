//! The routes of the HTTP API against those of `shared/http`, and what the gateway itself asks of a route.

#![expect(clippy::unwrap_used, reason = "test code")]

use super::template::{self, Template, text};
use super::{events, source};
use crate::functions::samples;
use std::collections::BTreeSet;
use std::fs;

/// The routes of a file of `shared/http`, with the methods that a preflight adds.
fn routes_of(file: &str) -> BTreeSet<String> {
    let path = template::root().join("shared/http/src").join(file);
    let source = fs::read_to_string(path).unwrap();
    let paths = source
        .split(".route(")
        .skip(1)
        .filter_map(|rest| rest.split('"').nth(1));
    let paths: Vec<&str> = paths.filter(|path| path.starts_with('/')).collect();
    let methods: &[&str] = if source.contains("CORS.run") {
        &["POST", "OPTIONS"]
    } else if source.contains("get(") {
        &["GET"]
    } else {
        &["POST"]
    };
    let each = paths
        .iter()
        .flat_map(|path| methods.iter().map(move |method| format!("{method} {path}")));
    each.collect()
}

#[test]
fn the_routes_are_those_of_the_http_stages() {
    let template = Template::read();
    for (stage, files) in [
        (
            "ingest",
            &[
                "ingest.rs",
                "batches.rs",
                "batch_keys.rs",
                "native.rs",
                "otlp.rs",
            ][..],
        ),
        ("outcomes", &["outcomes.rs"]),
        ("flags", &["flags.rs"]),
        ("manifest", &["manifest.rs", "tuf.rs"]),
        ("admin", &["console.rs", "health.rs"]),
    ] {
        let there: BTreeSet<String> = events(&template, stage, "HttpApi")
            .iter()
            .map(|route| format!("{} {}", text(&route["Method"]), text(&route["Path"])))
            .collect();
        let mut served: BTreeSet<String> = files.iter().flat_map(|file| routes_of(file)).collect();
        // What Sentry's SDKs send, with a slash at its end or without: one route that takes whatever is below a project.
        if stage == "ingest" {
            served.retain(|route| !route.contains(" /api/"));
            for method in ["POST", "OPTIONS"] {
                served.insert(format!("{method} /api/{{project}}/{{proxy+}}"));
            }
        }
        // Two folders of one function; the admin API and the console, whose routes and methods are many.
        if served.iter().any(|route| route.starts_with("GET /tuf/")) {
            served.retain(|route| !route.starts_with("GET /tuf/"));
            served.insert("GET /tuf/{project}/{proxy+}".to_owned());
        }
        if stage == "admin" {
            // `/issues` and its like are nested in the routes of a project.
            served.retain(|route| ["GET /health", "GET /version"].contains(&&**route));
            for path in ["/admin/v1/{proxy+}", "/console", "/console/{proxy+}"] {
                served.insert(format!("ANY {path}"));
            }
        }
        assert_eq!(there, served, "{stage}");
    }
    for stage in samples::functions() {
        let wanted = ["ingest", "outcomes", "flags", "manifest", "admin"].contains(&&*stage);
        assert_eq!(
            !events(&template, &stage, "HttpApi").is_empty(),
            wanted,
            "{stage}"
        );
    }
}

/// An HTTP API refuses a route that ends in a slash, or leaves it out; the emulator takes it. And a route with a rest (`{proxy+}`)
/// may not take an empty one, so nothing of ours may link to `/console/`.
#[test]
fn no_route_ends_in_a_slash_and_no_link_of_the_console_does() {
    let template = Template::read();
    for stage in samples::functions() {
        for route in events(&template, &stage, "HttpApi") {
            let path = text(&route["Path"]);
            assert!(!path.ends_with('/'), "{stage}: {path}");
        }
    }
    let paths = [
        "shared/http/src/console.rs",
        "shared/http/src/console",
        "apps",
    ];
    let files = source::at(&paths);
    assert!(files.len() > 3);
    for path in files {
        let source = fs::read_to_string(&path).unwrap();
        for link in ["href=\"/console/\"", "to(\"/console/\")", "/console/?"] {
            assert!(!source.contains(link), "{}: {link}", path.display());
        }
    }
}

#[test]
fn every_route_of_the_admin_function_has_its_throttle() {
    let template = Template::read();
    let settings = template.at("/Resources/HttpApi/Properties/RouteSettings");
    let throttled: BTreeSet<String> = settings
        .as_object()
        .unwrap()
        .iter()
        .inspect(|(route, limits)| {
            for limit in ["ThrottlingBurstLimit", "ThrottlingRateLimit"] {
                assert_eq!(text(&limits[limit]), "${AdminRateLimit}", "{route}");
            }
        })
        .map(|(route, _)| route.clone())
        .collect();
    let routes: BTreeSet<String> = events(&template, "admin", "HttpApi")
        .iter()
        .map(|route| format!("{} {}", text(&route["Method"]), text(&route["Path"])))
        .collect();
    assert_eq!(throttled, routes);
}
