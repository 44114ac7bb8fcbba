//! The machine's clock. Lambda keeps it right to well below a second.

use kintsugi_domain::Timestamp;
use kintsugi_domain::ports::Clock;
use std::time::SystemTime;

/// The machine's clock. **The one place of this home that asks for the time.**
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the adapter behind the clock port"
    )]
    fn now(&self) -> Timestamp {
        // A machine whose clock is outside the years -9999 to 9999 has no time worth telling.
        Timestamp::try_from(SystemTime::now()).unwrap_or(Timestamp::UNIX_EPOCH)
    }
}
