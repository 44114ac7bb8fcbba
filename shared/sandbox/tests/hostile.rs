//! Hostile programs in the box.
use kintsugi_sandbox::*;
#[test]
fn smoke() {
    let s = Sandbox::probe().unwrap();
    eprintln!("{s:?}");
    let d = tempfile::tempdir().unwrap();
    let py = python_toolchain().unwrap();
    eprintln!("{py:?}");
    for script in [
        "ls -la / /w /dev /etc /tmp; id; env; cat /proc/self/mountinfo; cat /proc/self/limits; echo hi >&2; ulimit -v; ps ax -o pid,ppid,pgid,sid,args",
        "kill -11 $$",
        "exit 7",
        "exec nosuch",
        "unshare -Ur true",
        "sleep 1000 & exit 3",
    ] {
        let mut j = Job::new(["/bin/sh", "-c", script], d.path());
        j.env.insert("A".into(), "b c".into());
        let f = s.run(&j).unwrap();
        eprintln!(
            "{:?} {:?} {:?}\n{}\n--{}",
            f.status,
            f.wall,
            f.cpu,
            String::from_utf8_lossy(&f.stdout),
            String::from_utf8_lossy(&f.stderr)
        );
    }
    let f = s.run(&Job::new(["nosuch"], d.path())).unwrap();
    eprintln!("{f:?}");
    let mut j = Job::new(
        [
            py.program.to_str().unwrap(),
            "-c",
            "import json,sys,ssl,sqlite3; print(sys.version)",
        ],
        d.path(),
    );
    j.read_only = py.read_only;
    for _ in 0..5 {
        let f = s.run(&j).unwrap();
        eprintln!(
            "{:?} {:?} {:?}\n{}\n--{}",
            f.status,
            f.wall,
            f.cpu,
            String::from_utf8_lossy(&f.stdout),
            String::from_utf8_lossy(&f.stderr)
        );
    }
}
