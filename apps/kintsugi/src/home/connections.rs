//! The connections of a local home: how many at once, and how slow one may be.
//!
//! **Invariant: whoever connects can hold a place for a bounded time only**: a connection is closed where nothing was read or written for
//! [`Patience::silence_max`], or where a request arrives more slowly than [`Patience::rate_min`] after [`Patience::grace`]. **And nobody can
//! hold all of them**: an address has [`PerAddress::max`] at once, and its next connection is closed unread; an address of IPv6 is
//! the first 64 bits, which is what one customer of a provider has at least. This machine and trusted proxies, which speak for many, are
//! exempt. When all places are taken, others wait to be accepted, where they cost the home nothing.
//!
//! Not here: how large a request may be (`kintsugi_http`), and how many a key may send (`kintsugi_domain::quota`).

use axum::serve::Listener;
use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep, sleep};

/// Most connections at once. A process may have 1,024 open files where nobody changed it, and the store needs some.
pub(super) const CONNECTIONS_MAX: usize = 512;

/// What is borne with.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    /// Longest time in which nothing is read or written. A stage that works on an answer is silent too.
    pub(super) silence_max: Duration,
    /// How long a request may take however slowly it arrives.
    pub(super) grace: Duration,
    /// Fewest bytes a second on average that a request arrives with afterwards.
    pub(super) rate_min: u64,
}

/// What a home that people use bears with: a phone with a bad connection gets its 20 MiB through, hour-long requests do not exist.
pub(super) const PATIENCE: Patience = Patience {
    silence_max: Duration::from_mins(2),
    grace: Duration::from_mins(1),
    rate_min: 4 * 1024,
};

/// Most connections of one address where nobody said more: a page has six, and an office behind one address some dozens.
pub const CONNECTIONS_PER_ADDRESS: usize = 64;

/// How many connections one address may have at once.
#[derive(Debug, Clone)]
pub struct PerAddress {
    /// So many.
    pub max: usize,
    /// Addresses that may have any number: the proxies before this home.
    pub proxies: Vec<IpAddr>,
}

impl Default for PerAddress {
    fn default() -> Self {
        Self {
            max: CONNECTIONS_PER_ADDRESS,
            proxies: Vec::new(),
        }
    }
}

/// Connections by address. **Only addresses with a connection are remembered**, so there are no more of them than places.
type Held = Arc<Mutex<BTreeMap<IpAddr, usize>>>;

fn locked(held: &Held) -> MutexGuard<'_, BTreeMap<IpAddr, usize>> {
    // Nothing in here can be left half done by a panic.
    held.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One connection among those of its address, as long as it lives.
struct Seat {
    held: Held,
    of: IpAddr,
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut held = locked(&self.held);
        if let Some(count) = held.get_mut(&self.of) {
            *count = count.saturating_sub(1);
        }
        if held.get(&self.of) == Some(&0) {
            held.remove(&self.of);
        }
    }
}

/// An address has as many connections as it may.
struct TooMany;

/// What an address is counted as.
fn counted_as(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
    }
}

/// A listener that keeps to the limits.
pub(super) struct Connections {
    listener: TcpListener,
    places: Arc<Semaphore>,
    per_address: PerAddress,
    held: Held,
    patience: Patience,
}

impl Connections {
    pub(super) fn new(
        listener: TcpListener,
        places: usize,
        per_address: PerAddress,
        patience: Patience,
    ) -> Self {
        Self {
            listener,
            places: Arc::new(Semaphore::new(places)),
            per_address,
            held: Held::default(),
            patience,
        }
    }

    /// A seat for a connection of an address; none is needed where any number may come.
    fn seat(&self, address: IpAddr) -> Result<Option<Seat>, TooMany> {
        let address = address.to_canonical();
        let is_proxy = |proxy: &IpAddr| proxy.to_canonical() == address;
        if address.is_loopback() || self.per_address.proxies.iter().any(is_proxy) {
            return Ok(None);
        }
        let of = counted_as(address);
        let mut held = locked(&self.held);
        let count = held.get(&of).copied().unwrap_or(0);
        if count >= self.per_address.max {
            return Err(TooMany);
        }
        held.insert(of, count.saturating_add(1));
        Ok(Some(Seat {
            held: Arc::clone(&self.held),
            of,
        }))
    }
}

impl Listener for Connections {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        // Nobody closes the semaphore; without a permit the connection would only not be counted.
        let place = Arc::clone(&self.places).acquire_owned().await.ok();
        let (stream, address, seat) = loop {
            let (stream, address) = Listener::accept(&mut self.listener).await;
            if let Ok(seat) = self.seat(address.ip()) {
                break (stream, address, seat);
            }
        };
        let connection = Connection {
            stream,
            patience: self.patience,
            silence: Box::pin(sleep(self.patience.silence_max)),
            request: None,
            _place: place,
            _seat: seat,
        };
        (connection, address)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// One connection.
pub(super) struct Connection {
    stream: TcpStream,
    patience: Patience,
    /// Ends when nothing happened for too long.
    silence: Pin<Box<Sleep>>,
    /// Since when and with how many bytes a request arrives. What is written is an answer, and ends it.
    request: Option<(Instant, u64)>,
    _place: Option<OwnedSemaphorePermit>,
    _seat: Option<Seat>,
}

impl Connection {
    /// Notes that something happened.
    fn stir(&mut self) {
        let until = Instant::now() + self.patience.silence_max;
        self.silence.as_mut().reset(until);
    }

    /// Whether a request that has just brought so many bytes more arrives fast enough.
    fn is_fast_enough(&mut self, bytes: u64) -> bool {
        let (since, all) = self.request.get_or_insert((Instant::now(), 0));
        *all = all.saturating_add(bytes);
        let earned = Duration::from_secs(*all / self.patience.rate_min.max(1));
        since.elapsed() <= self.patience.grace.saturating_add(earned)
    }
}

fn too_slow() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "the other side is too slow")
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        match Pin::new(&mut self.stream).poll_read(context, buffer) {
            Poll::Ready(Ok(())) => {
                let bytes = buffer.filled().len().saturating_sub(before);
                self.stir();
                let is_fast = self.is_fast_enough(bytes as u64);
                Poll::Ready(is_fast.then_some(()).ok_or_else(too_slow))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => {
                ready!(self.silence.as_mut().poll(context));
                Poll::Ready(Err(too_slow()))
            }
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match Pin::new(&mut self.stream).poll_write(context, bytes) {
            Poll::Ready(written) => {
                self.stir();
                self.request = None;
                Poll::Ready(written)
            }
            // Whoever reads no answer holds a place as well.
            Poll::Pending => {
                ready!(self.silence.as_mut().poll(context));
                Poll::Ready(Err(too_slow()))
            }
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::{Future as _, poll_fn};
    use std::pin::pin;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    const SOON: Duration = Duration::from_millis(50);
    const LATE: Duration = Duration::from_hours(1);

    async fn listen(places: usize, patience: Patience) -> (Connections, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let each = PerAddress::default();
        let connections = Connections::new(listener, places, each, patience);
        let address = connections.local_addr().unwrap();
        (connections, address)
    }

    #[tokio::test]
    async fn who_says_nothing_more_is_let_go() {
        let patience = Patience {
            silence_max: SOON,
            grace: LATE,
            rate_min: 1,
        };
        let (mut connections, address) = listen(1, patience).await;
        let mut client = TcpStream::connect(address).await.unwrap();
        client.write_all(b"POST / HT").await.unwrap();
        let (mut connection, _) = connections.accept().await;
        let mut read = Vec::new();
        let error = connection.read_to_end(&mut read).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(read, b"POST / HT");
    }

    #[tokio::test]
    async fn a_request_that_trickles_is_let_go_and_an_answer_begins_another_count() {
        let patience = Patience {
            silence_max: LATE,
            grace: SOON,
            rate_min: 1_000_000,
        };
        let (mut connections, address) = listen(1, patience).await;
        let client = TcpStream::connect(address).await.unwrap();
        let (mut from_home, mut to_home) = client.into_split();
        let trickle = tokio::spawn(async move { while to_home.write_all(b"x").await.is_ok() {} });
        let (mut connection, _) = connections.accept().await;
        let mut byte = [0];
        let error = loop {
            if let Err(error) = connection.read_exact(&mut byte).await {
                break error;
            }
        };
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        connection.write_all(b"an answer").await.unwrap();
        connection.read_exact(&mut byte).await.unwrap();
        drop(connection);
        trickle.await.unwrap();
        let _ = from_home.read(&mut byte).await;
    }

    #[tokio::test]
    async fn an_address_has_its_bound_and_this_machine_and_proxies_have_none() {
        let (mut connections, _) = listen(100, PATIENCE).await;
        connections.per_address = PerAddress {
            max: 2,
            proxies: vec!["192.0.2.9".parse().unwrap()],
        };
        let seat = |address: &str| connections.seat(address.parse().unwrap());
        let taken = |address: &str| {
            let seat = seat(address).ok().flatten();
            seat.unwrap_or_else(|| panic!("no seat for {address}"))
        };
        let (first, second) = (taken("192.0.2.1"), taken("::ffff:192.0.2.1"));
        assert!(seat("192.0.2.1").is_err());
        let other = taken("192.0.2.2");
        // One customer has at least 64 bits of IPv6 to choose from.
        let sixth = [taken("2001:db8::1"), taken("2001:db8::2:3")];
        assert!(seat("2001:db8::ffff:ffff").is_err());
        drop(taken("2001:db8:0:1::1"));
        for exempt in [
            "127.0.0.1",
            "::1",
            "::ffff:127.0.0.9",
            "192.0.2.9",
            "::ffff:192.0.2.9",
        ] {
            for _ in 0..5 {
                assert!(seat(exempt).is_ok_and(|seat| seat.is_none()), "{exempt}");
            }
        }
        drop(first);
        let again = taken("192.0.2.1");
        assert!(seat("192.0.2.1").is_err());
        drop((again, second, other, sixth));
        let held = locked(&connections.held);
        assert!(held.is_empty(), "only who is there is remembered");
    }

    #[tokio::test]
    async fn when_all_places_are_taken_the_next_waits_for_one() {
        let (mut connections, address) = listen(1, PATIENCE).await;
        let _first = TcpStream::connect(address).await.unwrap();
        let _second = TcpStream::connect(address).await.unwrap();
        let (held, _) = connections.accept().await;
        let mut next = pin!(connections.accept());
        let waits = poll_fn(|context| Poll::Ready(next.as_mut().poll(context).is_pending()));
        assert!(waits.await);
        drop(held);
        next.await;
    }
}
