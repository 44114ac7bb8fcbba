//! Attempts to see, change or reach what is outside, or to outlive the box.

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};
use std::{env, fs};

use kintsugi_sandbox::Exit;

use crate::{alive, folder, python, run, shell, text, unique_word, wait_until};

#[test]
fn the_system_folders_and_kernel_settings_cannot_be_written() {
    let folder = folder();
    let script = "
import os
for path in ('/usr/x', '/etc/x', '/x', '/bin/x', '/dev/x', '/proc/sys/kernel/core_pattern'):
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT))
        print('wrote', path)
    except OSError: pass
for path in ('/dev/null', '/usr', '/etc/ld.so.cache', '/'):
    try:
        os.chmod(path, os.stat(path).st_mode & 0o777)
        print('changed', path)
    except OSError: pass
open('/dev/null', 'w').write('x')
print('end')";
    let finished = run(&python(&folder, script));
    assert_eq!(text(&finished.stdout), "end", "{}", text(&finished.stderr));
}

#[test]
fn a_host_file_outside_the_folder_is_invisible() {
    let outside = tempfile::NamedTempFile::new().unwrap();
    let folder = folder();
    let script = format!(
        "ls -d {} /root /home /work /var /sys /run",
        outside.path().display()
    );
    let finished = run(&shell(&folder, &script));
    assert_eq!(text(&finished.stdout), "");
    assert_ne!(finished.status, Exit::Code(0));
}

#[test]
fn neither_the_hosts_loopback_nor_the_world_can_be_reached() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let folder = folder();
    let script = format!(
        "
import socket
for family, kind, address in (
    (socket.AF_INET, socket.SOCK_STREAM, ('127.0.0.1', {port})),
    (socket.AF_INET, socket.SOCK_STREAM, ('192.0.2.1', 80)),
    (socket.AF_INET, socket.SOCK_STREAM, ('169.254.169.254', 80)),
    (socket.AF_INET, socket.SOCK_DGRAM, ('192.0.2.1', 53)),
    (socket.AF_INET6, socket.SOCK_STREAM, ('::1', {port})),
):
    try:
        s = socket.socket(family, kind)
        s.settimeout(5)
        s.connect(address)
        print('reached', address)
    except socket.timeout: print('a way out to', address)
    except OSError as error: pass
a, b = socket.socketpair()
print('end')"
    );
    let finished = run(&python(&folder, &script));
    assert_eq!(text(&finished.stdout), "end", "{}", text(&finished.stderr));
    listener.set_nonblocking(true).unwrap();
    assert!(listener.accept().is_err());
}

#[test]
fn sockets_of_families_without_a_network_namespace_are_refused() {
    let folder = folder();
    let script = "
import errno, socket
AF_PACKET, AF_BLUETOOTH, AF_ALG, AF_VSOCK = 17, 31, 38, 40
for family in (AF_PACKET, AF_BLUETOOTH, AF_ALG, AF_VSOCK):
    try: socket.socket(family, socket.SOCK_STREAM)
    except OSError as error: print(errno.errorcode[error.errno])";
    let finished = run(&python(&folder, script));
    assert_eq!(text(&finished.stdout), ["EPERM"; 4].join("\n"));
}

#[test]
fn no_program_that_runs_as_its_owner_can_be_left_behind() {
    let folder = folder();
    let script = "
import os
os.close(os.open('/w/a', os.O_CREAT | os.O_WRONLY, 0o700))
for attempt in (lambda: os.chmod('/w/a', 0o4755), lambda: os.chmod('/w/a', 0o2755),
                lambda: os.open('/w/b', os.O_CREAT | os.O_WRONLY, 0o4755)):
    try: attempt()
    except PermissionError: print('refused')";
    let finished = run(&python(&folder, script));
    assert_eq!(text(&finished.stdout), ["refused"; 3].join("\n"));
    for entry in fs::read_dir(folder.path()).unwrap() {
        assert_eq!(
            entry.unwrap().metadata().unwrap().permissions().mode() & 0o6000,
            0
        );
    }
}

#[test]
fn a_folder_that_is_lent_can_be_read_but_not_written() {
    let (folder, lent) = (folder(), folder());
    fs::write(lent.path().join("file"), "lent").unwrap();
    let mut job = shell(
        &folder,
        "cat \"$1/file\"; echo x >\"$1/file\" || rm -f \"$1/file\"",
    );
    job.argv
        .extend(["sh".into(), lent.path().display().to_string()]);
    job.read_only.push(lent.path().to_path_buf());
    let finished = run(&job);
    assert_eq!(text(&finished.stdout), "lent");
    assert!(!finished.success());
    assert_eq!(
        fs::read_to_string(lent.path().join("file")).unwrap(),
        "lent"
    );
}

#[test]
fn the_box_has_no_privileges_and_cannot_make_namespaces_to_get_some() {
    let folder = folder();
    let script = "grep -E '^(Cap|NoNew|Seccomp:)' /proc/self/status | tr -s '\\t ' ' '
        unshare --user true; mount -t tmpfs x /w; cat /proc/1/environ | wc -c; kill -9 1; echo alive";
    let finished = run(&shell(&folder, script));
    let none = "0000000000000000";
    let seen = text(&finished.stdout);
    for line in ["CapPrm: ", "CapEff: ", "CapInh: ", "CapAmb: "] {
        assert!(seen.contains(&format!("{line}{none}")), "{seen}");
    }
    assert!(
        seen.contains("NoNewPrivs: 1") && seen.contains("Seccomp: 2"),
        "{seen}"
    );
    assert!(seen.ends_with("alive"), "{seen}");
    let errors = text(&finished.stderr);
    assert!(
        errors.contains("unshare failed") && errors.contains("mount:"),
        "{errors}"
    );
}

#[test]
fn signals_to_its_own_group_do_not_leave_the_box() {
    let folder = folder();
    // Nothing catches this signal: had it left the box, there would be no test left to fail.
    let finished = run(&shell(&folder, "kill -TERM 0; echo not reached"));
    assert_eq!(finished.status, Exit::Signal(15));
}

#[test]
fn what_a_finished_program_left_running_is_killed() {
    let (folder, word) = (folder(), unique_word());
    let script = "
import os, time
if os.fork() == 0:
    os.setsid()
    os.closerange(0, 3)
    time.sleep(1000)";
    let mut job = python(&folder, script);
    job.argv.push(word.clone());
    assert!(run(&job).success());
    assert_eq!(alive(&word), 0);
}

#[test]
/// This test is its own victim: it starts itself once more as the parent to be killed.
fn a_box_dies_with_its_parent_even_when_it_would_rather_not() {
    const ROLE: &str = "SANDBOX_TEST_PARENT_OF";
    if let Some(word) = env::var_os(ROLE) {
        let folder = folder();
        let script = "
import ctypes, os, time
PR_SET_PDEATHSIG = 1
libc = ctypes.CDLL(None)
os.fork()
if libc.prctl(PR_SET_PDEATHSIG, 0, 0, 0, 0) == 0: os._exit(1)
os.setsid() if os.getpid() != os.getpgrp() else None
time.sleep(1000)";
        let mut job = python(&folder, script);
        job.argv.push(word.into_string().unwrap());
        run(&job);
        return;
    }
    let (word, leftovers) = (unique_word(), folder());
    let name = "escape::a_box_dies_with_its_parent_even_when_it_would_rather_not";
    let mut parent = Command::new(env::current_exe().unwrap())
        .args([name, "--exact", "--nocapture"])
        .env(ROLE, &word)
        .env("TMPDIR", leftovers.path())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    wait_until("both processes run", || alive(&word) == 3);
    parent.kill().unwrap();
    parent.wait().unwrap();
    wait_until("the box is gone", || alive(&word) == 0);
}
