//! What an honest job may count on.

use std::path::Path;
use std::{env, fs, thread};

use kintsugi_sandbox::{Exit, Job, Sandbox};

use crate::{folder, python, run, shell, text};

#[test]
fn the_environment_is_what_the_job_says_and_nothing_else() {
    let folder = folder();
    let mut job = Job::new(["/usr/bin/env"], folder.path());
    job.env
        .insert("GREETING".into(), "a 'b' $HOME\n\"c\"".into());
    // Cargo gives every test this variable, and the shell that runs them has a PATH.
    assert!(env::var_os("CARGO_MANIFEST_DIR").is_some() || env::var_os("PATH").is_some());
    let finished = run(&job);
    assert_eq!(
        text(&finished.stdout),
        "GREETING=a 'b' $HOME\n\"c\"\nPWD=/w"
    );
}

#[test]
fn arguments_arrive_as_they_were_given() {
    let folder = folder();
    let finished = run(&Job::new(
        ["/usr/bin/printf", "%s|", "a b", "", "*", "$HOME", "-n"],
        folder.path(),
    ));
    assert_eq!(text(&finished.stdout), "a b||*|$HOME|-n|");
}

#[test]
fn input_is_delivered_whole_and_may_be_left_unread() {
    let folder = folder();
    let mut job = shell(&folder, "wc -c");
    job.stdin = vec![b'x'; 3_000_000];
    assert_eq!(text(&run(&job).stdout), "3000000");
    job.argv = vec!["/bin/true".into()];
    assert!(run(&job).success());
}

#[test]
fn what_the_job_writes_in_its_folder_belongs_to_the_caller() {
    let folder = folder();
    let finished = run(&shell(
        &folder,
        "mkdir /w/made; echo kept >/w/made/file; pwd",
    ));
    assert_eq!(text(&finished.stdout), "/w");
    let made = folder.path().join("made");
    assert_eq!(fs::read_to_string(made.join("file")).unwrap(), "kept\n");
    fs::remove_dir_all(&made).unwrap();
}

#[test]
fn a_crash_is_told_from_a_code() {
    let folder = folder();
    assert_eq!(
        run(&python(&folder, "import os; os.abort()")).status,
        Exit::Signal(6)
    );
    assert_eq!(run(&shell(&folder, "exit 7")).status, Exit::Code(7));
    assert_eq!(run(&shell(&folder, "exit 125")).status, Exit::Code(125));
    assert_eq!(
        run(&Job::new(["no-such-program"], folder.path())).status,
        Exit::Code(127)
    );
}

#[test]
fn several_boxes_at_once_do_not_disturb_one_another() {
    let sandbox = Sandbox::probe().unwrap();
    thread::scope(|scope| {
        for number in 0..6 {
            let sandbox = &sandbox;
            scope.spawn(move || {
                let folder = folder();
                let finished = sandbox
                    .run(&shell(&folder, &format!("sleep 0.2; echo {number}")))
                    .unwrap();
                assert_eq!(text(&finished.stdout), number.to_string());
            });
        }
    });
}

#[test]
fn a_job_that_makes_no_sense_is_refused_by_name() {
    let (sandbox, folder) = (Sandbox::probe().unwrap(), folder());
    let code = |job: &Job| sandbox.run(job).unwrap_err().code();
    let good = shell(&folder, "true");
    let refused = "sandbox_bad_job";
    assert_eq!(
        code(&Job {
            argv: vec![],
            ..good.clone()
        }),
        refused
    );
    assert_eq!(
        code(&Job {
            workdir: "/no/such".into(),
            ..good.clone()
        }),
        refused
    );
    assert_eq!(
        code(&Job {
            argv: vec!["a\0b".into()],
            ..good.clone()
        }),
        refused
    );
    for path in ["/", "/tmp/", "/proc", "relative", "/usr/../etc", "/no/such"] {
        assert_eq!(
            code(&Job {
                read_only: vec![path.into()],
                ..good.clone()
            }),
            refused,
            "{path}"
        );
    }
    let env = [("A-B".to_owned(), String::new())].into();
    assert_eq!(
        code(&Job {
            env,
            ..good.clone()
        }),
        refused
    );
}

#[test]
fn the_toolchain_of_this_machine_runs_its_standard_library() {
    let folder = folder();
    let script = "import json, ssl, sqlite3, subprocess, multiprocessing, tempfile, unittest
print(subprocess.check_output(['/bin/echo', 'child']).decode(), tempfile.gettempdir())
print(multiprocessing.Pool(2).map(abs, [-1, 2]))";
    let job = python(&folder, script);
    assert!(Path::new(&job.argv[0]).is_absolute());
    let finished = run(&job);
    assert_eq!(
        text(&finished.stdout),
        "child\n /tmp\n[1, 2]",
        "{}",
        text(&finished.stderr)
    );
}
