//! What a runner says: a line per step for people, an object per step for programs.

use crate::print;
use kintsugi_domain::job::{Job, Order};
use serde_json::{Value, json};
use std::fmt::Display;

/// Says what happens.
#[derive(Debug, Clone, Copy)]
pub(super) struct Teller {
    pub(super) json: bool,
}

impl Teller {
    fn tell(self, object: &Value, line: &dyn Display) {
        if self.json {
            print::object(object);
        } else {
            print::out(line);
        }
    }

    pub(super) fn ready(self, home: &str) {
        let line = format_args!("ready for jobs of {home}; stop with Ctrl-C");
        self.tell(&json!({"event": "ready", "home": home}), &line);
    }

    pub(super) fn leased(self, job: &Job, attempt: u32) {
        let kind = match &job.order {
            Order::Search(_) => "search",
            Order::Build(_) => "build",
        };
        let object = json!({"event": "leased", "job": job.id, "kind": kind, "project": job.project, "attempt": attempt});
        let (id, name) = (job.id.as_str(), &job.config.product.name);
        self.tell(
            &object,
            &format_args!("{kind} {id} of {name}, attempt {attempt}"),
        );
    }

    pub(super) fn reported(self, job: &Job, accepted: bool) {
        let object = json!({"event": "reported", "job": job.id, "accepted": accepted});
        let line = if accepted {
            "reported"
        } else {
            "reported; another runner was first"
        };
        self.tell(&object, &line);
    }

    pub(super) fn given_back(self, job: &Job, reason: &str, again: bool) {
        let object =
            json!({"event": "given_back", "job": job.id, "reason": reason, "again": again});
        let end = if again {
            "it will be tried again"
        } else {
            "it is parked, and people are told"
        };
        self.tell(
            &object,
            &format_args!("gave {} back: {reason}; {end}", job.id),
        );
    }

    pub(super) fn lost(self, job: &Job, why: &str) {
        let object = json!({"event": "lost", "job": job.id, "reason": why});
        self.tell(&object, &format_args!("{why}; the first report counts"));
    }

    pub(super) fn unreachable(self, why: &dyn Display) {
        let object = json!({"event": "unreachable", "reason": why.to_string()});
        self.tell(&object, &format_args!("{why}; it will be asked again"));
    }

    pub(super) fn idle(self) {
        self.tell(&json!({"event": "idle"}), &"no job waits");
    }

    pub(super) fn stopped(self) {
        self.tell(&json!({"event": "stopped"}), &"stopped");
    }
}
