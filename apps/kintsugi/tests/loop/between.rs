//! Somebody between the devices and a home who changes one answer on its way.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "test code"
)]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// Changes the body of an answer.
pub(crate) type Change = fn(&mut Vec<u8>);

/// Answers to paths that contain the text are changed.
pub(crate) type Lie = (&'static str, Change);

/// Listens on loopback and hands every request on to a home.
pub(crate) struct Between {
    pub(crate) url: String,
    lies: Arc<Mutex<Vec<Lie>>>,
}

impl Between {
    pub(crate) fn start(home: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let lies: Arc<Mutex<Vec<Lie>>> = Arc::default();
        let (home, told) = (home.to_owned(), Arc::clone(&lies));
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (home, told) = (home.clone(), Arc::clone(&told));
                // A device that goes away ends its connection only.
                thread::spawn(move || hand_on(&stream.unwrap(), &home, &told));
            }
        });
        Self { url, lies }
    }

    /// From now on tells these lies and no others.
    pub(crate) fn lie(&self, lies: &[Lie]) {
        *self.lies.lock().unwrap() = lies.to_vec();
    }
}

/// Hands one request on, asking both sides to close after it.
fn hand_on(device: &TcpStream, home: &str, lies: &Mutex<Vec<Lie>>) -> std::io::Result<()> {
    let mut reader = BufReader::new(device);
    let mut head = String::new();
    let mut length = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        if line == "\r\n" {
            break;
        }
        let lower = line.to_ascii_lowercase();
        if let Some(text) = lower.strip_prefix("content-length:") {
            length = text.trim().parse().unwrap();
        }
        if !lower.starts_with("connection:") {
            head.push_str(&line);
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let mut there = TcpStream::connect(home)?;
    write!(there, "{head}connection: close\r\n\r\n")?;
    there.write_all(&body)?;
    let mut answer = Vec::new();
    there.read_to_end(&mut answer)?;
    let path = head.split_whitespace().nth(1).unwrap();
    let lies = lies.lock().unwrap().clone();
    for (_, change) in lies.iter().filter(|(part, _)| path.contains(part)) {
        answer = changed(&answer, *change);
    }
    { device }.write_all(&answer)
}

/// The same answer with another body.
fn changed(answer: &[u8], change: Change) -> Vec<u8> {
    let end = answer.windows(4).position(|it| it == b"\r\n\r\n").unwrap() + 4;
    let head = String::from_utf8(answer[..end - 4].to_vec()).unwrap();
    let mut body = answer[end..].to_vec();
    if !head[..head.find("\r\n").unwrap()].contains(" 200") {
        return answer.to_vec();
    }
    change(&mut body);
    let lines = head.split("\r\n");
    let lines = lines.filter(|it| !it.to_ascii_lowercase().starts_with("content-length:"));
    let head = lines.collect::<Vec<_>>().join("\r\n");
    let length = body.len();
    let mut changed = format!("{head}\r\ncontent-length: {length}\r\n\r\n").into_bytes();
    changed.append(&mut body);
    changed
}
