//! Attempts to use up more than allowed.

use std::os::unix::fs::MetadataExt;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;
use std::{fs, thread};

use kintsugi_sandbox::{Breach, Exit, Limits};

use crate::{MIB, alive, folder, python, run, shell, text, unique_word};

#[test]
fn an_allocation_beyond_the_limit_fails() {
    let folder = folder();
    let script = "
try: bytearray(4 << 30)
except MemoryError: print('refused')";
    let finished = run(&python(&folder, script));
    assert_eq!(text(&finished.stdout), "refused");
    assert!(finished.success());
}

#[test]
fn processes_that_share_the_work_do_not_get_a_memory_limit_each() {
    let folder = folder();
    let script = "
import os, time
for _ in range(6):
    if os.fork() == 0: break
block = b'x' * (100 << 20)
time.sleep(60)";
    let mut job = python(&folder, script);
    job.limits.memory_bytes = 300 * MIB;
    let finished = run(&job);
    assert_eq!(
        (finished.status, finished.breach),
        (Exit::Signal(9), Some(Breach::Memory))
    );
}

#[test]
fn a_fork_bomb_is_bounded_and_leaves_nothing_behind() {
    let (folder, word) = (folder(), unique_word());
    let script = "
import os, time
while True:
    try: os.fork()
    except OSError: time.sleep(0.05)";
    let mut job = python(&folder, script);
    job.argv.push(word.clone());
    let is_root = fs::metadata("/proc/self").unwrap().uid() == 0;
    job.limits = Limits {
        processes: 40,
        // Root's bomb is ended when it is seen, which on a busy machine takes a while; others' only by the time.
        wall: Duration::from_secs(if is_root { 60 } else { 3 }),
        ..Limits::default()
    };

    let (done, peak) = (AtomicBool::new(false), AtomicU32::new(0));
    let finished = thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                peak.fetch_max(u32::try_from(alive(&word)).unwrap(), Ordering::Relaxed);
                thread::sleep(Duration::from_millis(5));
            }
        });
        let finished = run(&job);
        done.store(true, Ordering::Relaxed);
        finished
    });

    let peak = peak.load(Ordering::Relaxed);
    if is_root {
        // The kernel lets root have more; the supervisor ends the box as soon as it sees them.
        assert_eq!(
            (finished.status, finished.breach),
            (Exit::Signal(9), Some(Breach::Processes))
        );
        assert!(peak < 1000, "{peak} processes at one time");
    } else {
        // The kernel refuses the next process, so the bomb fizzles on until its time is up.
        assert_eq!((finished.status, finished.breach), (Exit::TimedOut, None));
        assert!(peak <= 42, "{peak} processes at one time");
    }
    assert_eq!(alive(&word), 0);
    assert!(run(&shell(&folder, "true")).success());
}

#[test]
fn many_threads_count_like_many_processes() {
    let folder = folder();
    let script = "
import threading, time
try:
    for _ in range(500): threading.Thread(target=time.sleep, args=(5,), daemon=True).start()
    time.sleep(5)
    print('all started')
except RuntimeError: print('refused')";
    let mut job = python(&folder, script);
    job.limits.processes = 40;
    job.limits.memory_bytes = 16 << 30; // address space for 500 stacks
    let finished = run(&job);
    let refused = text(&finished.stdout) == "refused";
    assert!(
        refused || finished.breach == Some(Breach::Processes),
        "{finished:?}"
    );
}

#[test]
fn a_file_larger_than_allowed_cannot_be_written() {
    let folder = folder();
    let script = "
try:
    with open('/w/big', 'wb') as file:
        for _ in range(20): file.write(b'x' * (1 << 20))
except OSError as error: print(error.strerror)";
    let mut job = python(&folder, script);
    job.limits.file_bytes = 4 * MIB;
    let finished = run(&job);
    assert_eq!(text(&finished.stdout), "File too large");
    assert!(fs::metadata(folder.path().join("big")).unwrap().len() <= 4 * MIB);
}

#[test]
fn the_temporary_folder_is_full_before_the_host_is() {
    let folder = folder();
    let script = "for n in 1 2 3 4 5; do head -c 60000000 /dev/zero >/tmp/$n || exit 9; done";
    let finished = run(&shell(&folder, script));
    assert_eq!(finished.status, Exit::Code(9));
    assert!(text(&finished.stderr).contains("No space left"));
}

#[test]
fn a_long_sleep_is_timed_out_together_with_its_children() {
    let (folder, word) = (folder(), unique_word());
    let script = "
import os, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
if os.fork() == 0:
    os.setsid()
    os.closerange(0, 3)
    os.fork()
open('/w/%d' % os.getpid(), 'w')
time.sleep(1000)";
    let mut job = python(&folder, script);
    job.argv.push(word.clone());
    job.limits.wall = Duration::from_secs(2);
    let finished = run(&job);
    assert_eq!(finished.status, Exit::TimedOut);
    assert!(finished.wall >= job.limits.wall && finished.wall < Duration::from_secs(20));
    assert_eq!(
        fs::read_dir(folder.path()).unwrap().count(),
        3,
        "not all had started"
    );
    assert_eq!(alive(&word), 0);
}

#[test]
fn a_busy_loop_ends_at_its_processor_time() {
    let folder = folder();
    let mut job = shell(&folder, "while :; do :; done");
    job.limits.cpu_seconds = 1;
    let finished = run(&job);
    assert_eq!(finished.status, Exit::Signal(24));
    // The limit counts ticks of the kernel's clock, what is reported is exact: on a busy machine they differ by a part.
    assert!(
        finished.cpu.unwrap() >= Duration::from_millis(500),
        "{finished:?}"
    );
}

#[test]
fn huge_output_is_cut_and_does_not_stop_the_program() {
    let folder = folder();
    let script = "head -c 30000000 /dev/zero; head -c 5 /dev/zero | tr '\\0' e >&2; echo >/w/end";
    let mut job = shell(&folder, script);
    job.limits.output_bytes = 1000;
    let finished = run(&job);
    assert!(finished.success());
    assert_eq!(
        (finished.stdout.len(), finished.stdout_truncated),
        (1000, true)
    );
    assert_eq!(
        (text(&finished.stderr).as_str(), finished.stderr_truncated),
        ("eeeee", false)
    );
    assert!(folder.path().join("end").exists());
}

#[test]
fn output_of_exactly_the_limit_is_whole() {
    let folder = folder();
    let mut job = shell(&folder, "printf 12345; printf abcde >&2");
    job.limits.output_bytes = 5;
    let finished = run(&job);
    assert_eq!(
        (text(&finished.stdout), text(&finished.stderr)),
        ("12345".into(), "abcde".into())
    );
    assert!(!finished.stdout_truncated && !finished.stderr_truncated);
}
