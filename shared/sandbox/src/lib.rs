//! Runs untrusted product code, such as tests and builds, in a box.
//!
//! A box is a handful of fresh Linux namespaces with its own root folder, built by this process
//! itself: no daemon, no image, no set-up, no privileges needed. [`Sandbox::probe`] finds out
//! whether the machine can do it; [`Sandbox::run`] runs one [`Job`] and waits for its end.
//! **Where no box can be built nothing runs at all.** Calls block; from async code use a thread
//! that may block.
//!
//! # What a job sees
//!
//! `/usr` and what belongs to it, the loader's files and a made-up account in `/etc`, five devices,
//! its own `/proc`, and what [`Job::read_only`] lends, all read-only; its folder at `/w`; 256 MiB
//! of `/tmp` and 64 MiB of `/dev/shm` in memory. It is the user `box`, has no capabilities, no
//! environment, no keys, no terminal, and no network: not even `127.0.0.1` is up, so tests that
//! talk to a server of their own need a Unix socket.
//!
//! # What holds where
//!
//! | Limit | Held by | How firmly |
//! |---|---|---|
//! | `wall` | supervisor; a second clock 5 s later | whole box, to some 10 ms |
//! | `cpu_seconds` | kernel | each process by itself |
//! | `memory_bytes`, addresses | kernel | each process by itself |
//! | `memory_bytes`, private memory | supervisor, every 25 ms | whole box, after the fact |
//! | `file_bytes`, `open_files` | kernel | each file, each process |
//! | `processes`, ordinary caller | kernel (5.14 or newer) | whole box, exactly |
//! | `processes`, caller is root | supervisor, every 25 ms | whole box is killed; some hundreds may live until then |
//!
//! - Network, host files, signals, keys: namespaces and mounts, plus a filter on system calls for
//!   what has no namespace. Landlock is a second lock on files where the kernel has it.
//! - Nothing is left over: the box dies with its job, at its limit, and with the calling process,
//!   even by `kill -9`. Then only an empty folder `hakoniwa-*` stays in the temporary folder.
//! - **Prefer an ordinary user.** For root the box is as closed, but a job then has root's *name*
//!   (not its power) on what it writes in `/w`.
//!
//! # What does not hold
//!
//! - The space a job takes in its folder has no limit but `file_bytes` for each file.
//! - What it leaves there is hostile: do not follow its links, do not run its programs.
//! - A Unix socket in a lent folder can be connected to. Lend no folder that has one.
//! - The kernel is shared. A kernel bug that an ordinary user can reach can be reached by a job.
//! - Programs that reserve far more addresses than memory (Node, Go, Java) need a large
//!   `memory_bytes`, which then is a weak limit.
//! - The caller must not reap children it did not start (`waitpid(-1)`) or ignore `SIGCHLD`.
//!
//! Not here: what to run and what its result means (the callers), and installing dependencies,
//! which needs a network.
//!
//! ```no_run
//! use kintsugi_sandbox::{Job, Sandbox, python_toolchain};
//!
//! # fn main() -> Result<(), kintsugi_sandbox::SandboxError> {
//! let sandbox = Sandbox::probe()?;
//! let python = python_toolchain()?;
//! let mut job = Job::new(["-m", "unittest"], "/srv/checkout");
//! job.argv.insert(0, python.program.display().to_string());
//! job.read_only = python.read_only;
//! let passed = sandbox.run(&job)?.success();
//! # let _ = passed;
//! # Ok(())
//! # }
//! ```

mod census;
mod error;
mod job;
mod mounts;
mod probe;
mod python;
mod room;
mod supervise;
mod syscalls;

pub use error::SandboxError;
pub use job::{Breach, Exit, Finished, Job, Limits};
pub use probe::Sandbox;
pub use python::{Toolchain, python_toolchain};
